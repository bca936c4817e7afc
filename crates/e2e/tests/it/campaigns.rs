//! Campaigns: a list of contacts goes out, whoever watches sees it, whatever dies.

mod killed;
mod stopped;
mod watched;
