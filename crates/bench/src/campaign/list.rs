//! The list of recipients, as a file. Pure.

use bytes::Bytes;

/// Phone numbers that belong to nobody: 5491100000000 to 5491100099999.
pub(super) const CONTACTS_MAX: u32 = 100_000;
/// The columns that the template mentions, in order.
pub(super) const VARIABLES: [&str; 2] = ["nombre", "monto"];
/// How many lines are made at a time.
const CHUNK_LINES: u32 = 1_000;

/// The number of a contact.
pub(super) fn contact(number: u32) -> String {
    format!("54911000{number:05}")
}

/// The file, piece by piece: no more than one is held.
pub(super) fn pieces(recipients: u32) -> impl Iterator<Item = Bytes> + Send + 'static {
    let header = Bytes::from(format!("telefono,{}\n", VARIABLES.join(",")));
    let pieces = (0..recipients).step_by(CHUNK_LINES as usize).map(move |first| {
        let last = recipients.min(first + CHUNK_LINES);
        Bytes::from((first..last).map(line).collect::<String>())
    });
    std::iter::once(header).chain(pieces)
}

fn line(number: u32) -> String {
    format!("{},\"Contacto, {number}\",{}\n", contact(number), 1_000 + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_a_header_and_a_line_for_each_recipient() {
        let text = String::from_utf8(pieces(2_500).flatten().collect()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), pieces(2_500).count()), (2_501, 4));
        assert_eq!(lines[0], "telefono,nombre,monto");
        assert_eq!(lines[1], "5491100000000,\"Contacto, 0\",1000");
        assert_eq!(lines[2_500], "5491100002499,\"Contacto, 2499\",3499");
    }

    #[test]
    fn the_last_number_belongs_to_nobody_either() {
        assert_eq!(contact(CONTACTS_MAX - 1), "5491100099999");
    }
}
