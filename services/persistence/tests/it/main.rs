//! Persistence as others see it: the test is everyone else on a private broker, over a private database.

mod administration;
mod appointments;
mod bad_day;
mod campaigns;
mod campaigns_count;
mod campaigns_outcome;
mod campaigns_run;
mod campaigns_upload;
mod campaigns_world;
mod chats;
mod clinic;
mod conversation;
mod deliveries;
mod directory;
mod events;
mod office;
mod opt_outs;
mod presence;
mod query;
mod queue;
mod register;
mod replica;
mod status;
mod steering;
mod world;
