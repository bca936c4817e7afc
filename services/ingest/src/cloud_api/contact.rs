use chasqui_proto::{
    address,
    v1::{Alias, AliasKind, Contact},
};

use crate::object::Object;

/// The people a change is about.
pub(super) struct Contacts<'a>(Vec<Object<'a>>);

/// How a message names its contact: by phone number, business-scoped id (BSUID), or both.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) phone: Option<String>,
    pub(super) user_id: Option<String>,
}

impl Named {
    /// The two members of an object that name a contact.
    pub(super) fn read(object: &Object<'_>, phone: &str, user_id: &str) -> Self {
        Self { phone: object.filled(phone), user_id: object.filled(user_id) }
    }

    /// The addresses, canonical one first: a phone number outlives business accounts, a BSUID does not.
    pub(super) fn aliases(&self) -> Vec<Alias> {
        let mut aliases: Vec<Alias> = self.phone.as_deref().and_then(phone_or_id).into_iter().collect();
        let user_id = self.user_id.as_deref().and_then(user_id);
        aliases.extend(user_id.filter(|alias| aliases.first() != Some(alias)));
        aliases.sort_by_key(|alias| alias.kind() != AliasKind::Phone);
        aliases
    }
}

impl<'a> Contacts<'a> {
    pub(super) fn read(value: &Object<'a>) -> Self {
        Self(value.objects("contacts"))
    }

    /// The contact a message names, with what the change tells about it.
    pub(super) fn find(&self, mut named: Named) -> Contact {
        let is = |contact: &&Object<'_>| {
            let same = |ours: &Option<String>, key| ours.is_some() && *ours == contact.filled(key);
            same(&named.phone, "wa_id") || same(&named.user_id, "user_id")
        };
        let nameless = named.phone.is_none() && named.user_id.is_none();
        let alone = || self.0.first().filter(|_| nameless && self.0.len() == 1);
        let Some(about) = self.0.iter().find(is).or_else(alone) else {
            return Contact { aliases: named.aliases(), ..Contact::default() };
        };
        named.phone = named.phone.or_else(|| about.filled("wa_id"));
        named.user_id = named.user_id.or_else(|| about.filled("user_id"));
        let profile = about.object("profile").unwrap_or_default();
        Contact {
            aliases: named.aliases(),
            name: profile.text("name").unwrap_or_default(),
            username: profile.text("username").unwrap_or_default(),
            photo_url: String::new(),
        }
    }
}

/// Where WhatsApp writes a phone number it may, one day, write an id.
fn phone_or_id(text: &str) -> Option<Alias> {
    let alias = address::parse_address(text).ok()?;
    match alias.kind() {
        AliasKind::Phone | AliasKind::Lid => Some(alias),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(address::phone(text)),
        _ => user_id(text),
    }
}

fn user_id(text: &str) -> Option<Alias> {
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= address::ADDRESS_LENGTH_MAX;
    fits.then(|| Alias { kind: AliasKind::Bsuid.into(), value: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(phone: Option<&str>, user_id: Option<&str>, expected: &[(AliasKind, &str)]) {
        let named = Named { phone: phone.map(str::to_owned), user_id: user_id.map(str::to_owned) };
        let aliases = named.aliases();
        let found: Vec<(AliasKind, &str)> = aliases.iter().map(|a| (a.kind(), a.value.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_phone_number_names_the_contact_where_there_is_one() {
        let (phone, bsuid) = ("5491100000001", "AR.13491208655302741918");
        check(Some(phone), Some(bsuid), &[(AliasKind::Phone, phone), (AliasKind::Bsuid, bsuid)]);
        check(Some(phone), None, &[(AliasKind::Phone, phone)]);
        check(None, Some(bsuid), &[(AliasKind::Bsuid, bsuid)]);
        check(Some(bsuid), Some(bsuid), &[(AliasKind::Bsuid, bsuid)]);
        check(Some("123"), None, &[(AliasKind::Phone, "123")]);
        check(Some(&"9".repeat(129)), None, &[]);
    }
}
