//! The mask over what clients send (RFC 6455 section 5.3).

/// Puts the mask on `payload`, or takes it off. `offset` is how many bytes of the frame came before.
pub(crate) fn apply(payload: &mut [u8], mut mask: [u8; 4], offset: usize) {
    mask.rotate_left(offset % 4);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let word = u64::from_ne_bytes((&*chunk).try_into().expect("a chunk has eight bytes")) ^ wide;
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eight_at_a_time_is_one_at_a_time(payload: Vec<u8>, mask: [u8; 4], offset in 0_usize..1_000) {
            let bytewise: Vec<u8> =
                payload.iter().enumerate().map(|(at, byte)| byte ^ mask[(offset + at) % 4]).collect();
            let mut masked = payload.clone();
            apply(&mut masked, mask, offset);
            prop_assert_eq!(&masked, &bytewise);
            apply(&mut masked, mask, offset);
            prop_assert_eq!(masked, payload);
        }
    }
}
