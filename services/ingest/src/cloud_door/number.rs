use chasqui_proto::v1::NumberEntry;
use serde_json::{Value, json};

/// From this many messages a second WhatsApp calls a number's throughput high.
const HIGH_MESSAGES_PER_SECOND: u32 = 1_000;

/// A number as the Graph API shows one. What only WhatsApp knows (its verified name, its quality) is left out.
pub(super) fn shown(number: &NumberEntry) -> Value {
    let level = if number.messages_per_second_max >= HIGH_MESSAGES_PER_SECOND { "HIGH" } else { "STANDARD" };
    json!({
        "id": number.id,
        "display_phone_number": number.display_phone_number,
        "platform_type": "CLOUD_API",
        "throughput": { "level": level },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_tells_how_fast_it_may_send() {
        let number =
            |messages_per_second_max| NumberEntry { messages_per_second_max, ..NumberEntry::default() };
        let level = |number: &NumberEntry| shown(number)["throughput"]["level"].clone();
        assert_eq!((level(&number(80)), level(&number(1_000))), (json!("STANDARD"), json!("HIGH")));
    }
}
