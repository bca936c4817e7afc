use serde_json::{Value, json};

use super::{message, wamid};
use crate::samples;

/// A message that others refer to.
const EARLIER: &str = "wamid.EARLIER";

/// One message of every kind that the Cloud API sends, each with the name of the type it becomes in the pipeline.
pub fn every_type(from: &str) -> Vec<(&'static str, Value)> {
    let samples = said().into_iter().chain(chosen()).chain(about_messages()).chain(from_whatsapp());
    let whole = |(ours, theirs, members)| (ours, message(from, &wamid(), theirs, members));
    samples.map(whole).collect()
}

/// Our name of the type, the Cloud API's, and what the message has of its own.
type Sample = (&'static str, &'static str, Value);

fn media(mime_type: &str, members: Value) -> Value {
    let sample = samples::of(mime_type);
    let mut media = json!({
        "id": sample.id,
        "mime_type": mime_type,
        "sha256": samples::checksum(sample.content),
    });
    if let (Value::Object(media), Value::Object(members)) = (&mut media, members) {
        media.extend(members);
    }
    media
}

fn said() -> Vec<Sample> {
    let document = json!({ "filename": "factura.pdf", "caption": "la factura" });
    let card = json!({
        "name": { "formatted_name": "Contact Prueba", "first_name": "Contact" },
        "phones": [{ "phone": "+5491100000002", "wa_id": "5491100000002", "type": "CELL" }],
    });
    let place = json!({
        "latitude": -34.603_722, "longitude": -58.381_592, "name": "Obelisco", "address": "Av. 9 de Julio",
    });
    vec![
        ("text", "text", json!({ "text": { "body": "Hola 👋 ¿cómo estás?" } })),
        (
            "text",
            "text",
            json!({
                "text": { "body": "reenviado" },
                "context": { "frequently_forwarded": true, "forwarded": true },
            }),
        ),
        (
            "text",
            "text",
            json!({
                "text": { "body": "vi el anuncio" },
                "referral": { "source_type": "ad", "source_id": "1200", "headline": "Oferta" },
            }),
        ),
        ("image", "image", json!({ "image": media("image/jpeg", json!({ "caption": "una foto" })) })),
        ("audio", "audio", json!({ "audio": media("audio/ogg; codecs=opus", json!({ "voice": true })) })),
        ("audio", "audio", json!({ "audio": media("audio/mpeg", json!({ "voice": false })) })),
        ("video", "video", json!({ "video": media("video/mp4", json!({})) })),
        ("document", "document", json!({ "document": media("application/pdf", document) })),
        ("sticker", "sticker", json!({ "sticker": media("image/webp", json!({ "animated": true })) })),
        ("location", "location", json!({ "location": place })),
        ("contacts", "contacts", json!({ "contacts": [card] })),
    ]
}

fn chosen() -> Vec<Sample> {
    let context = json!({ "from": "5491100000099", "id": EARLIER });
    let button = json!({ "type": "button_reply", "button_reply": { "id": "si", "title": "Sí" } });
    let row = json!({
        "type": "list_reply",
        "list_reply": { "id": "turno-1", "title": "Lunes 10:00", "description": "Primer turno" },
    });
    let form = json!({
        "type": "nfm_reply",
        "nfm_reply": { "name": "flow", "body": "Enviado", "response_json": "{\"nombre\":\"Contact\"}" },
    });
    let items = json!([
        { "product_retailer_id": "sku-1", "quantity": 2, "item_price": 1500.5, "currency": "ARS" },
    ]);
    vec![
        ("interactive", "interactive", json!({ "interactive": button, "context": context })),
        ("interactive", "interactive", json!({ "interactive": row, "context": context })),
        ("interactive", "interactive", json!({ "interactive": form, "context": context })),
        ("button", "button", json!({ "button": { "payload": "CONFIRMAR", "text": "Confirmar" } })),
        (
            "order",
            "order",
            json!({
                "order": { "catalog_id": "1000000000000077", "text": "mi pedido", "product_items": items },
            }),
        ),
    ]
}

fn about_messages() -> Vec<Sample> {
    let now = json!({ "type": "text", "text": { "body": "Hola, corregido" } });
    vec![
        ("reaction", "reaction", json!({ "reaction": { "message_id": EARLIER, "emoji": "👍" } })),
        ("reaction", "reaction", json!({ "reaction": { "message_id": EARLIER } })),
        ("edit", "edit", json!({ "edit": { "original_message_id": EARLIER, "message": now } })),
        ("revoke", "revoke", json!({ "revoke": { "original_message_id": EARLIER } })),
    ]
}

fn from_whatsapp() -> Vec<Sample> {
    let changed = json!({
        "body": "El contacto cambió de número", "wa_id": "5491100000098", "type": "user_changed_number",
    });
    let errors = json!([{
        "code": 131_051,
        "title": "Message type unknown",
        "message": "Message type unknown",
        "error_data": { "details": "Message type is currently not supported." },
    }]);
    vec![
        ("system", "system", json!({ "system": changed })),
        ("system", "request_welcome", json!({})),
        ("unsupported", "unsupported", json!({ "errors": errors, "unsupported": { "type": "poll" } })),
        ("unsupported", "hologram", json!({ "hologram": { "depth": 3 } })),
    ]
}
