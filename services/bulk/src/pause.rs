//! Pauses between attempts.

use std::time::Duration;

use chasqui_kit::pause::Pause;

/// The first pause.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest one.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long campaigns wait for whoever is away.
pub(crate) fn pause() -> Pause {
    Pause::between(PAUSE_MIN, PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        let mut pause = pause();
        let pauses: Vec<Duration> = (0..20).map(|_| pause.lengthen()).collect();
        assert!(pauses[0] <= PAUSE_MIN);
        assert!(pauses.iter().all(|pause| *pause < PAUSE_MAX));
        assert!(pauses[19] >= PAUSE_MAX / 2);
    }
}
