//! The bot: guided flows on every channel, people who take over, replicas that die.

mod appointment;
mod killed;
mod model;
mod people;

/// What a contact writes to get an appointment, from the greeting of the flow on, with patients and cities of the seeds.
pub(super) const WALK: [&str; 7] = ["10000001", "1", "cardio", "1", "1", "Dolor en el pecho", "sí"];
/// BEN-35
pub(super) const WELCOME: &str =
    "Bienvenido al chat de citas. Para empezar, por favor ingresa el documento...";
