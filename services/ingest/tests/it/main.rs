//! The service over a private nats-server: the test plays WhatsApp, the bot and the edge.

mod admin;
mod answering;
mod bot_reply;
mod campaigns;
mod cloud_door;
mod directory;
mod docs;
mod health;
mod listeners;
mod operators;
mod opt_outs;
mod shared_client;
mod webhook;
mod whatsapp;
mod world;
