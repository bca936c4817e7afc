use std::time::{Duration, Instant};

/// Pause between two looks at a fact. Short against every deadline, long against one look.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks at a fact until it holds and returns what it found.
///
/// # Panics
/// When `deadline` has passed, with `description`: write it as the claim that did not come true.
pub async fn wait_for<T>(
    deadline: Duration,
    description: &str,
    mut fact: impl AsyncFnMut() -> Option<T>,
) -> T {
    let begin = Instant::now();
    let look = async {
        loop {
            if let Some(found) = fact().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(deadline, look).await.unwrap_or_else(|_| {
        panic!("after {:.1} s still not true: {description}", begin.elapsed().as_secs_f64())
    })
}
