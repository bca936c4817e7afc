//! The service over a private nats-server: the test plays WhatsApp, the bot and the edge.

mod admin;
mod bot_reply;
mod docs;
mod health;
mod webhook;
mod world;
