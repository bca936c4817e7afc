//! The world of the stories: a cluster of real processes, WhatsApp, front ends, and what they saw.

mod binary;
mod campaigns;
mod cluster;
mod conversation;
mod front_door;
mod front_end;
mod load;
mod meta;
mod native;
mod outside;
mod phone;
mod process;
mod staff;
mod store;
mod widget;

use std::{collections::BTreeMap, time::Duration};

pub(crate) use binary::chasqui;
pub(crate) use campaigns::{Campaigns, contacts, greeting};
pub(crate) use cluster::Cluster;
pub(crate) use front_door::FrontDoor;
pub(crate) use front_end::FrontEnd;
pub(crate) use load::{A_SECOND, Load};
pub(crate) use meta::{Meta, NUMBER};
pub(crate) use native::{Dialect, Native, name_of};
pub(crate) use outside::{Outside, text_of};
pub(crate) use phone::Phone;
pub(crate) use staff::{Shown, Staff};
pub(crate) use widget::Widget;

/// How long any fact may take to become true, on the slowest machine.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// A client that asks this machine and no proxy.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().expect("it needs nothing from outside")
}

/// The texts of each contact, by phone number, in order.
pub(crate) type Texts = BTreeMap<String, Vec<String>>;
