//! What contacts say, one message after the other. Pure.

/// What answers a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first message of a contact, which ends what an earlier run left open. It is in no figure.
    Opening,
    /// A step of the flow `appointment`.
    Flow,
    /// A rule of the definition, or its fallback.
    Plain,
}

/// A message of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// Its answer is the last of a walk through the flow.
    pub(super) ends_walk: bool,
}

/// What is said at one place of the flow.
#[derive(Clone, Copy, Debug)]
enum Say {
    This(&'static str),
    /// Who the contact is.
    Document,
    /// Whatever the contact likes.
    Anything,
}

/// Leaves a flow; outside of one it is like any other text.
const OPENING: &str = "salir";

/// Patients of whom `persistence.seed` fills the register.
const DOCUMENTS: [&str; 3] = ["10000001", "10000002", "10000003"];

/// The way through the flow `appointment` with the cities and specialties of the same register.
const WALK: [Say; 8] = [
    Say::This("cita"),
    Say::Document,
    Say::This("1"),
    Say::This("cardio"),
    Say::This("1"),
    Say::This("1"),
    Say::Anything,
    Say::This("sí"),
];

/// What a contact says that has said so much already. Every second one walks through the flow, again and again; the
/// others say what no flow understands. The walks begin one after another, so that not all are at one place at once.
pub(super) fn line(conversation: u32, said: u32, anything: impl FnOnce() -> String) -> Line {
    let plain = |text| Line { kind: Kind::Plain, text, ends_walk: false };
    if said == 0 {
        return Line { kind: Kind::Opening, text: OPENING.to_owned(), ends_walk: false };
    }
    let walk = u32::try_from(WALK.len()).expect("a walk is short");
    let (walks, begins_after) = (conversation.is_multiple_of(2), 1 + conversation / 2 % walk);
    let Some(place) = said.checked_sub(begins_after).filter(|_| walks) else { return plain(anything()) };
    let place = place % walk;
    let text = match WALK[place as usize] {
        Say::This(text) => text.to_owned(),
        Say::Document => DOCUMENTS[conversation as usize / 2 % DOCUMENTS.len()].to_owned(),
        Say::Anything => anything(),
    };
    Line { kind: Kind::Flow, text, ends_walk: place + 1 == walk }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(conversation: u32, messages: u32) -> Vec<Line> {
        (0..messages).map(|said| line(conversation, said, || "x".to_owned())).collect()
    }

    #[test]
    fn every_second_contact_walks_through_the_flow_again_and_again() {
        let lines = said(0, 17);
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!((texts[0], texts[1], texts[8], texts[9]), ("salir", "cita", "sí", "cita"));
        assert!(lines[1..].iter().all(|line| line.kind == Kind::Flow));
        let ends: Vec<usize> = (0..17).filter(|&place| lines[place].ends_walk).collect();
        assert_eq!(ends, [8, 16]);
        assert!(said(1, 17)[1..].iter().all(|line| line.kind == Kind::Plain && line.text == "x"));
    }

    #[test]
    fn walks_begin_one_after_another() {
        let begins = |conversation: u32| said(conversation, 12).iter().position(|line| line.text == "cita");
        let places: Vec<Option<usize>> = (0..9).map(|pair| begins(2 * pair)).collect();
        assert_eq!(places, [1, 2, 3, 4, 5, 6, 7, 8, 1].map(Some));
    }
}
