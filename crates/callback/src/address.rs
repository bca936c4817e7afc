//! Addresses that events may be posted to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// IPv4 networks that the public Internet does not route, or that lead to something special (IANA's registry of special
/// purpose addresses).
const FORBIDDEN_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Carriers' own networks; the metadata service of one cloud is there.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local: the metadata service of most clouds.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // The one public address that is a metadata service, of one cloud.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The only IPv6 network that is routed publicly; all else is local, multicast or reserved.
const PUBLIC_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What is special within it: Teredo and other protocol assignments, and documentation.
const FORBIDDEN_V6: [(Ipv6Addr, u8); 3] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0x0db8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// The networks that events may be posted to besides the public Internet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed(Vec<IpNet>);

/// A text that names no network.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no network such as 10.1.0.0/16 or fd00::/8")]
pub struct InvalidNetwork(pub String);

impl Allowed {
    /// Networks as `address/length`; a bare address is that one address.
    pub fn new<T: AsRef<str>>(networks: impl IntoIterator<Item = T>) -> Result<Self, InvalidNetwork> {
        let network = |text: &str| {
            let text = text.trim();
            let one = || text.parse().ok().map(|address: IpAddr| IpNet::from(address));
            text.parse().ok().or_else(one).ok_or_else(|| InvalidNetwork(text.to_owned()))
        };
        networks.into_iter().map(|text| network(text.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Only the public Internet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether events may be posted to an address.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = plain(address);
        is_public(address) || self.0.iter().any(|network| network.contains(&address))
    }
}

/// An IPv4 address that IPv6 only carries is judged as what it is.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    carried_v4(v6).map_or(address, IpAddr::V4)
}

/// Mapped (`::ffff:`), translated (`64:ff9b::`) and 6to4 (`2002:`) addresses.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !FORBIDDEN_V4.iter().any(|(network, length)| {
            let mask = u32::MAX.checked_shl(u32::from(32 - length)).unwrap_or(0);
            u32::from(v4) & mask == u32::from(*network)
        }),
        IpAddr::V6(v6) => {
            within_v6(v6, PUBLIC_V6) && !FORBIDDEN_V6.iter().any(|network| within_v6(v6, *network))
        }
    }
}

fn within_v6(address: Ipv6Addr, (network, length): (Ipv6Addr, u8)) -> bool {
    let mask = u128::MAX.checked_shl(u32::from(128 - length)).unwrap_or(0);
    u128::from(address) & mask == u128::from(network)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(allowed: &Allowed, address: &str, expected: bool) {
        assert_eq!(allowed.permits(address.parse().unwrap()), expected, "{address}");
    }

    #[test]
    fn shc_25_only_public_addresses_are_permitted() {
        let none = Allowed::default();
        for public in
            ["8.8.8.8", "172.32.0.1", "100.63.255.255", "168.63.129.17", "2606:4700::1111", "::ffff:8.8.8.8"]
        {
            check(&none, public, true);
        }
        for forbidden in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.192",
            "168.63.129.16",
            "198.19.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "100::1",
        ] {
            check(&none, forbidden, false);
        }
    }

    #[test]
    fn an_allowed_network_is_permitted_and_nothing_beside_it() {
        let allowed = Allowed::new(["10.1.0.0/16", " fd00::/8", "127.0.0.1"]).unwrap();
        for (address, expected) in [
            ("10.1.255.1", true),
            ("::ffff:10.1.0.1", true),
            ("10.2.0.1", false),
            ("fd12::1", true),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("fc00::1", false),
        ] {
            check(&allowed, address, expected);
        }
        for bad in ["", "10.0.0.0/33", "bot.example.com", "10.0.0/8"] {
            assert_eq!(Allowed::new([bad]), Err(InvalidNetwork(bad.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn ipv6_is_no_way_round_the_rules_of_ipv4(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            let none = Allowed::default();
            prop_assert_eq!(none.permits(v4.into()), none.permits(v4.to_ipv6_mapped().into()));
        }

        #[test]
        fn private_addresses_are_never_public(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_unspecified() {
                prop_assert!(!Allowed::default().permits(v4.into()));
            }
        }
    }
}
