//! Storing a batch: everything in it, or nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chasqui_proto::v1::{self, Status};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    aliases, aliases::FurtherAlias, campaigns_counts, conversations, counters, messages, opt_outs,
    recipients_moved, states, statuses,
};
use crate::{
    campaign_recipient,
    conversation::{self, Conversation},
    counters::{CONVERSATIONS, Changes, UNREAD},
    error::Error,
    fact::{self, Body, Fact, Place},
    opt_out::{Keywords, Wish},
    response, word,
};

/// What a stored batch leads to.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The conversations that the batch was about, as they stand now.
    pub(crate) states: Vec<v1::Conversation>,
    /// Addresses whose conversation others have to know.
    pub(crate) aliases: Vec<FurtherAlias>,
    /// Tenants whose counters changed.
    pub(crate) tenants: BTreeSet<String>,
    /// What contacts now want of campaigns.
    pub(crate) wishes: Vec<Wish>,
    /// How the counts of campaigns changed.
    pub(crate) recipients: campaign_recipient::Changes,
    pub(crate) messages_new: u64,
    pub(crate) statuses_new: u64,
}

/// Stores facts in one transaction. Facts that are stored already change nothing.
///
/// Replicas do this side by side. Rows are therefore taken in the same order everywhere, and what depends on more than
/// one row is worked out under the lock of its conversation.
pub(crate) async fn write(pool: &PgPool, facts: &[&Fact], keywords: &Keywords) -> Result<Written, Error> {
    let mut transaction = pool.begin().await?;
    let batch = Batch::sort(facts);
    let written = batch.write(&mut transaction, keywords).await?;
    transaction.commit().await?;
    Ok(written)
}

/// Facts in the order in which rows are taken, each once.
struct Batch<'a> {
    places: BTreeSet<&'a Place>,
    messages: Vec<(&'a Fact, &'a v1::Message)>,
    statuses: Vec<&'a Fact>,
}

impl<'a> Batch<'a> {
    fn sort(facts: &[&'a Fact]) -> Self {
        let key = |fact: &&'a Fact| (fact.place.tenant.as_str(), fact.id);
        let (mut messages, mut statuses) = (BTreeMap::new(), BTreeMap::new());
        for fact in facts {
            match fact.message() {
                Some(message) => {
                    messages.entry(key(fact)).or_insert((*fact, message));
                }
                None => {
                    statuses.entry(key(fact)).or_insert(*fact);
                }
            }
        }
        Self {
            places: facts.iter().map(|fact| &fact.place).collect(),
            messages: messages.into_values().collect(),
            statuses: statuses.into_values().collect(),
        }
    }

    async fn write(&self, connection: &mut PgConnection, keywords: &Keywords) -> Result<Written, Error> {
        let places: Vec<&Place> = self.places.iter().copied().collect();
        let ids: Vec<Uuid> = places.iter().map(|place| place.id).collect();
        conversations::ensure(connection, &places).await?;
        let (named, newest) = self.aliases();
        let learnt = if newest.is_empty() { Vec::new() } else { aliases::learn(connection, &newest).await? };
        let mut written = Written::default();
        let new = self.insert_messages(connection).await?;
        if !self.statuses.is_empty() {
            written.statuses_new = statuses::insert(connection, &self.statuses).await?;
        }
        let mut rows = Rows::new(conversations::lock(connection, &ids).await?);
        rows.absorb(&new);
        rows.add_responses(connection, &new).await?;
        let touched = self.touched(connection, &new).await?;
        rows.raise(connection, &touched).await?;
        rows.note_aliases(&learnt, &places);
        written.wishes = opt_outs::hear(connection, keywords, &new, &self.statuses).await?;
        written.aliases = named.into_iter().chain(learnt).collect();
        let changed = rows.changed();
        if !changed.is_empty() {
            conversations::update(connection, &changed).await?;
        }
        written.messages_new = u64::try_from(new.len()).unwrap_or_default();
        let states = states::of_ids(&mut *connection, &ids).await?;
        written.states = states.into_iter().map(|state| state.conversation).collect();
        if !rows.recipients.is_empty() {
            campaigns_counts::add(connection, &rows.recipients).await?;
        }
        written.recipients = rows.recipients;
        if !rows.counters.0.is_empty() {
            counters::add(connection, &rows.counters).await?;
        }
        written.tenants = rows.counters.0.into_keys().map(|(tenant, _)| tenant).collect();
        Ok(written)
    }

    /// The further addresses that repeated deliveries name (what was stored the first time may never have been told),
    /// and for each address what the newest message says of it.
    fn aliases(&self) -> (BTreeSet<FurtherAlias>, Vec<(FurtherAlias, i64)>) {
        let mut newest: BTreeMap<(String, String), (FurtherAlias, i64)> = BTreeMap::new();
        let mut repeated = BTreeSet::new();
        for (fact, message) in &self.messages {
            for token in fact::further_aliases(&fact.place, message) {
                let alias = FurtherAlias {
                    tenant: fact.place.tenant.to_string(),
                    alias: token.to_string(),
                    conversation_token: fact.place.token.to_string(),
                };
                if fact.repeated {
                    repeated.insert(alias.clone());
                }
                let entry = newest.entry((alias.tenant.clone(), alias.alias.clone()));
                let known = entry.or_insert_with(|| (alias.clone(), fact.seq));
                if fact.seq > known.1 {
                    *known = (alias, fact.seq);
                }
            }
        }
        (repeated, newest.into_values().collect())
    }

    /// The messages that were not stored before.
    async fn insert_messages(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Vec<(&'a Fact, &'a v1::Message)>, Error> {
        if self.messages.is_empty() {
            return Ok(Vec::new());
        }
        let inserted = messages::insert(connection, &self.messages).await?;
        Ok(self.messages.iter().filter(|(fact, _)| inserted.contains(&fact.seq)).copied().collect())
    }

    /// Messages that may have a higher status than before: new ones whose status may be here already, and those the
    /// batch has statuses of.
    async fn touched(
        &self,
        connection: &mut PgConnection,
        new: &[(&'a Fact, &'a v1::Message)],
    ) -> sqlx::Result<statuses::Touched<'a>> {
        let mut touched = statuses::Touched::default();
        let mut inbound = Vec::new();
        for (fact, message) in new {
            let key = (fact.place.tenant.as_str(), fact.id);
            if message.direction() == v1::Direction::Out {
                touched.by_id.push(key);
            } else {
                inbound.push(key);
            }
        }
        // Most messages of contacts never have a status, and none of a provider's id alone: the short question first.
        if !inbound.is_empty() {
            let early: HashSet<Uuid> = statuses::early(connection, &inbound).await?.into_iter().collect();
            touched.by_id.extend(inbound.into_iter().filter(|(_, id)| early.contains(id)));
        }
        for fact in &self.statuses {
            if let Body::Status { message_id, provider_message_id, .. } = &fact.body {
                let tenant = fact.place.tenant.as_str();
                touched.by_id.push((tenant, *message_id));
                touched.by_provider_id.extend(provider_message_id.as_deref().map(|id| (tenant, id)));
            }
        }
        Ok(touched)
    }
}

/// The locked conversations, and what changes in them.
struct Rows {
    by_id: BTreeMap<Uuid, Conversation>,
    /// Positions before the batch: of the newest message and of the newest one to the contact.
    before: HashMap<Uuid, (i64, i64)>,
    changed: HashSet<Uuid>,
    recipients: campaign_recipient::Changes,
    counters: Changes,
}

impl Rows {
    fn new(rows: Vec<Conversation>) -> Self {
        let before = rows.iter().map(|row| (row.id, (row.last_seq, row.last_out_seq))).collect();
        let by_id = rows.into_iter().map(|row| (row.id, row)).collect();
        Self {
            by_id,
            before,
            changed: HashSet::new(),
            recipients: campaign_recipient::Changes::new(),
            counters: Changes::default(),
        }
    }

    fn changed(&self) -> Vec<&Conversation> {
        self.by_id.values().filter(|row| self.changed.contains(&row.id)).collect()
    }

    fn absorb(&mut self, new: &[(&Fact, &v1::Message)]) {
        for (fact, message) in new {
            let Some(row) = self.by_id.get_mut(&fact.place.id) else { continue };
            if row.last_seq == 0 {
                self.counters.add(&row.tenant, CONVERSATIONS, 1);
            }
            row.absorb(fact, message);
            self.changed.insert(row.id);
            self.counters.message(&row.tenant, message.direction(), message.sender_type());
        }
    }

    /// Response times: in order from what is known, late ones from what is stored.
    async fn add_responses(
        &mut self,
        connection: &mut PgConnection,
        new: &[(&Fact, &v1::Message)],
    ) -> Result<(), Error> {
        let mut turns: BTreeMap<Uuid, Vec<response::Turn>> = BTreeMap::new();
        for (fact, message) in new {
            turns.entry(fact.place.id).or_default().push(conversation::turn(fact, message));
        }
        let mut late = Vec::new();
        for (id, turns) in &mut turns {
            turns.sort_by_key(|turn| turn.seq);
            let (last_seq, last_out_seq) = self.before.get(id).copied().unwrap_or_default();
            if turns.iter().any(|turn| response::is_late(turn, last_seq, last_out_seq)) {
                late.push((*id, turns[0].seq));
            } else if let Some(row) = self.by_id.get_mut(id) {
                let (responses, waiting) = response::fold(row.waiting(), turns);
                row.set_waiting(waiting);
                self.counters.responses(&row.tenant, responses);
            }
        }
        if late.is_empty() {
            return Ok(());
        }
        let mut stretches: BTreeMap<Uuid, Vec<response::Turn>> = BTreeMap::new();
        for (id, turn) in messages::stretches(connection, &late).await? {
            stretches.entry(id).or_default().push(turn);
        }
        for (id, stretch) in stretches {
            let new: HashSet<i64> = turns[&id].iter().map(|turn| turn.seq).collect();
            let (responses, waiting) = response::mend(&stretch, |seq| new.contains(&seq));
            if let Some(row) = self.by_id.get_mut(&id) {
                row.set_waiting(waiting);
                self.counters.responses(&row.tenant, responses);
            }
        }
        Ok(())
    }

    async fn raise(
        &mut self,
        connection: &mut PgConnection,
        touched: &statuses::Touched<'_>,
    ) -> Result<(), Error> {
        if touched.by_id.is_empty() {
            return Ok(());
        }
        let raised = statuses::raise(connection, touched).await?;
        let last: HashMap<Uuid, Uuid> =
            self.by_id.values().filter_map(|row| Some((row.last_message_id?, row.id))).collect();
        let moved: Vec<&statuses::Raised> =
            raised.iter().filter(|message| message.old_rank != message.new_rank).collect();
        let of_campaigns: Vec<&statuses::Raised> =
            moved.iter().filter(|message| message.may_be_of_a_campaign()).copied().collect();
        self.recipients = recipients_moved::follow(connection, &of_campaigns).await?;
        for message in moved {
            let [old, new] = [message.old_rank, message.new_rank].map(word::status_of_rank);
            self.changed.extend(last.get(&message.id));
            if message.direction == v1::Direction::Out.name() {
                self.counters.status(&message.tenant, old, new);
            } else if old < Status::Read && new >= Status::Read {
                self.read(message);
            }
        }
        Ok(())
    }

    /// An agent has read a message of the contact.
    fn read(&mut self, message: &statuses::Raised) {
        let Some(row) = self.by_id.get_mut(&message.conversation_id) else { return };
        if row.read(message.seq) {
            self.counters.add(&row.tenant, UNREAD, -1);
            self.changed.insert(row.id);
        }
    }

    /// A conversation whose contact has a new address changed too.
    fn note_aliases(&mut self, aliases: &[FurtherAlias], places: &[&Place]) {
        for alias in aliases {
            let is_place = |place: &&&Place| {
                place.tenant.as_str() == alias.tenant && place.token.as_str() == alias.conversation_token
            };
            self.changed.extend(places.iter().find(is_place).map(|place| place.id));
        }
    }
}
