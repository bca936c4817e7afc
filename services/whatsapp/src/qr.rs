//! A QR as front ends show it: a PNG in a data URL.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use qrcode::{Color, QrCode};

/// The longest text of a QR, bytes: WhatsApp's have about 240, and a picture must fit into a state.
const TEXT_BYTES_MAX: usize = 1_024;
/// Pixels of one module; a phone reads it from a screen.
const MODULE_PIXELS: usize = 6;
/// Modules of white around it, as the standard wants (ISO/IEC 18004).
const QUIET_MODULES: usize = 4;

/// `text` as `data:image/png;base64,…`; `None` when it is empty or longer than a QR may be here.
pub(crate) fn data_url(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let code = QrCode::new(text).ok()?;
    let (modules, side) = (code.to_colors(), code.width());
    let pixels = (side + 2 * QUIET_MODULES) * MODULE_PIXELS;
    let is_dark = |x: usize, y: usize| {
        let (column, row) = (x / MODULE_PIXELS, y / MODULE_PIXELS);
        let inside = |at: usize| (QUIET_MODULES..QUIET_MODULES + side).contains(&at);
        inside(column)
            && inside(row)
            && modules[(row - QUIET_MODULES) * side + column - QUIET_MODULES] == Color::Dark
    };
    let grey: Vec<u8> =
        (0..pixels * pixels).map(|at| if is_dark(at % pixels, at / pixels) { 0 } else { u8::MAX }).collect();
    Some(format!("data:image/png;base64,{}", STANDARD.encode(png(&grey, pixels))))
}

fn png(grey: &[u8], side: usize) -> Vec<u8> {
    let side = u32::try_from(side).expect("a code has at most 177 modules");
    let mut image = Vec::new();
    let mut encoder = png::Encoder::new(&mut image, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("memory takes every write");
    writer.write_image_data(grey).expect("the image has as many bytes as its header says");
    drop(writer);
    image
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wab_17_a_qr_is_a_png_in_a_data_url() {
        let url = data_url(&"2@".repeat(120)).unwrap();
        let image = STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        assert!(image.starts_with(b"\x89PNG\r\n"));
        assert!(url.len() < 32_768, "{} bytes", url.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_text_makes_it_panic(text in ".{0,1200}") {
            let is_short = (1..=TEXT_BYTES_MAX).contains(&text.len());
            prop_assert_eq!(data_url(&text).is_some(), is_short);
        }
    }
}
