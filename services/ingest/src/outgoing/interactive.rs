use std::collections::HashSet;

use chasqui_proto::v1::MessageType;

use super::{Outgoing, OutgoingError, media, part::Part};

/// The longest body under buttons, characters.
const BODY_LENGTH_MAX: usize = 1_024;
/// The longest body of every other kind, characters.
const LIST_BODY_LENGTH_MAX: usize = 4_096;
/// The longest text of a header or footer, characters.
const HEADER_LENGTH_MAX: usize = 60;
/// The most buttons.
const BUTTONS_MAX: usize = 3;
/// The longest id of a button or row, characters.
const ID_LENGTH_MAX: usize = 256;
/// The longest label of a button, characters.
const BUTTON_LENGTH_MAX: usize = 20;
/// The most sections of a list, and the most rows of all its sections.
const ROWS_MAX: usize = 10;
/// The longest title of a section or row, characters.
const TITLE_LENGTH_MAX: usize = 24;
/// The longest description of a row, characters.
const DESCRIPTION_LENGTH_MAX: usize = 72;

/// Buttons and lists are checked whole; of the kinds beside them (`cta_url`, `flow`, `product`, …) what they share.
pub(super) fn read(given: &Part<'_>) -> Result<Outgoing, OutgoingError> {
    let kind = given.text("type", 1..=64)?;
    let action = given.object("action")?;
    let body_length_max = if kind == "button" { BODY_LENGTH_MAX } else { LIST_BODY_LENGTH_MAX };
    let body = given.optional_object("body")?;
    let text = body.map(|body| body.text("text", 1..=body_length_max)).transpose()?;
    if let Some(footer) = given.optional_object("footer")? {
        footer.text("text", 1..=HEADER_LENGTH_MAX)?;
    }
    let header = given.optional_object("header")?.map(|header| read_header(&header)).transpose()?;
    match kind {
        "button" => buttons(&action)?,
        "list" if header.is_some_and(|header| header != "text") => {
            return Err(given.value_of("header.type", "be text in a list"));
        }
        "list" => list(&action)?,
        _ => {}
    }
    // Of the kinds, only single products and catalogues do without.
    let text = match (text, kind) {
        (None, "button" | "list") => return Err(given.missing("body")),
        (None, kind) => format!("[{kind}]"),
        (Some(text), _) => text.to_owned(),
    };
    Ok(Outgoing::verbatim(MessageType::Interactive, "interactive", &given.value(), text))
}

/// Checks a header, and tells its type.
fn read_header<'a>(header: &Part<'a>) -> Result<&'a str, OutgoingError> {
    let kind = header.text("type", 1..=64)?;
    match kind {
        "text" => {
            header.text("text", 1..=HEADER_LENGTH_MAX)?;
        }
        "image" | "video" | "document" => {
            media::file(&header.object(kind)?)?;
        }
        _ => return Err(header.value_of("type", "be text, image, video or document")),
    }
    Ok(kind)
}

fn buttons(action: &Part<'_>) -> Result<(), OutgoingError> {
    let mut titles = HashSet::new();
    for button in action.objects("buttons", 1..=BUTTONS_MAX)? {
        if button.text("type", 1..=64)? != "reply" {
            return Err(button.value_of("type", "be reply"));
        }
        let reply = button.object("reply")?;
        reply.text("id", 1..=ID_LENGTH_MAX)?;
        if !titles.insert(reply.text("title", 1..=BUTTON_LENGTH_MAX)?) {
            return Err(reply.value_of("title", "differ from those of the other buttons"));
        }
    }
    Ok(())
}

fn list(action: &Part<'_>) -> Result<(), OutgoingError> {
    action.text("button", 1..=BUTTON_LENGTH_MAX)?;
    let sections = action.objects("sections", 1..=ROWS_MAX)?;
    let (mut rows, mut ids) = (0, HashSet::new());
    for section in &sections {
        let title = section.optional_text("title", 1..=TITLE_LENGTH_MAX)?;
        if title.is_none() && sections.len() > 1 {
            return Err(section.missing("title"));
        }
        for row in section.objects("rows", 1..=ROWS_MAX)? {
            rows += 1;
            if !ids.insert(row.text("id", 1..=ID_LENGTH_MAX)?) {
                return Err(row.value_of("id", "differ from those of the other rows"));
            }
            row.text("title", 1..=TITLE_LENGTH_MAX)?;
            row.optional_text("description", 1..=DESCRIPTION_LENGTH_MAX)?;
        }
    }
    if rows > ROWS_MAX {
        return Err(action.value_of("sections", format!("have at most {ROWS_MAX} rows in all")));
    }
    Ok(())
}
