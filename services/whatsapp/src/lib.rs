#![doc = include_str!("../README.md")]

mod connector;
mod line;
