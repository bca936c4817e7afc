//! The front ends of the systems before, unchanged but for the base URL: three edges behind a load balancer without
//! sticky sessions, one file a system.

mod beneficiate;
mod condorito;
mod external_bots;
mod konecte;
mod shared_client;
mod whatsapp_web;
