//! One turn of a conversation: whatever is open in it, then what the contact wrote, in order, up to a message in hand.
//!
//! Each step is decided once: what becomes of it is written by compare and set, with the replies, before they are
//! published. Whoever loses the race, or comes after a crash, finds them there and publishes them under the same ids.

mod settling;
mod upkeep;

use std::sync::Arc;

use chasqui_kit::{TraceContext, clock};
use chasqui_proto::v1::{Contact, Message, Responder, Waiting};
use chasqui_responder::Standing;

use crate::{
    conversations::Record,
    decision::{Decider, Decision, Said, Thought},
    definition::Definition,
    input::Input,
    inquiry::Inquiry,
    meter,
    obstacle::Obstacle,
    office::Office,
    past::Stored,
    place::Place,
    publication::{self, Moment},
};

pub(crate) use upkeep::{hush, release};

/// How many messages are answered in one turn. What is left comes in the next one.
const MESSAGES_MAX: usize = 64;

/// What a turn is for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Task<'a> {
    /// The newest message in hand.
    pub(crate) goal: Option<&'a Stored>,
    /// It came at once, and nothing else is in hand.
    pub(crate) is_alone: bool,
    /// Everything up to here is known to be handled.
    pub(crate) handled: u64,
    /// What the language model said.
    pub(crate) thought: Option<&'a Thought>,
    /// The language model is at work on this lane.
    pub(crate) is_thinking: bool,
    /// Somebody else went on meanwhile: only the newest state will do.
    pub(crate) is_retry: bool,
}

/// How a conversation stands after a turn. Everything that was decided is published.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    /// Every message up to this position is handled; only the one in hand where `is_others`.
    pub(crate) handled: u64,
    /// The message in hand is none of the bot's business, and nothing before it was looked at.
    pub(crate) is_others: bool,
    /// What is answered later.
    pub(crate) waiting: Option<Waiting>,
    /// People are to have it, and their chat is not open yet.
    pub(crate) is_ownerless: bool,
    /// What the language model is to be asked now.
    pub(crate) inquiry: Option<Inquiry>,
}

/// A turn on its way.
struct Turn<'a> {
    office: &'a Office,
    place: &'a Place,
    definition: Arc<Definition>,
    standing: Standing,
    record: Record,
    handled: u64,
    /// Whether everything in `pending` is.
    is_published: bool,
    contact: Option<Contact>,
    trace: TraceContext,
}

/// Makes a turn. On failure whatever was done is done, and the turn is to be made again.
pub(crate) async fn take(office: &Office, place: &Place, task: Task<'_>) -> Result<Outlook, Obstacle> {
    if let Some(goal) = task.goal
        && task.is_alone
        && task.thought.is_none()
        && is_others(office, place, goal).await?
    {
        meter::input("silent");
        return Ok(Outlook { handled: goal.seq, is_others: true, ..Outlook::default() });
    }
    let (mut turn, next) = Turn::open(office, place, &task).await?;
    let mut inquiry = None;
    turn.publish().await?;
    if turn.hand_over().await? {
        if let Some(goal) = task.goal {
            turn.catch_up(goal, next, task.is_alone).await?;
        }
        inquiry = turn.answer_later(&task).await?;
    }
    turn.tidy().await?;
    let state = turn.record.state;
    Ok(Outlook {
        handled: turn.handled,
        is_others: false,
        waiting: state.waiting,
        is_ownerless: !state.handoff.is_empty(),
        inquiry,
    })
}

/// Whether a message is none of the bot's business, which takes the least where the tenant has a bot outside: most of
/// what is written there. Whether that one answers or people do makes no difference here.
async fn is_others(office: &Office, place: &Place, goal: &Stored) -> Result<bool, Obstacle> {
    let is_for_flow = goal.message.as_ref().is_some_and(|message| Input::of(message, goal.seq).is_for_flow);
    if is_for_flow || office.responders.of_tenant(&place.tenant) != Responder::External {
        return Ok(false);
    }
    Ok(!office.responders.is_given_to_bot(&place.tenant, &place.conversation).await?)
}

impl<'a> Turn<'a> {
    async fn open(
        office: &'a Office,
        place: &'a Place,
        task: &Task<'_>,
    ) -> Result<(Self, Option<Stored>), Obstacle> {
        let record = async {
            if task.is_retry {
                office.conversations.get_newest(place).await
            } else {
                office.conversations.get(place).await
            }
        };
        let standing = async { Ok(office.responders.of(&place.tenant, &place.conversation).await?) };
        let after = office.past.floor().max(task.handled);
        let next = async {
            match task.goal {
                Some(goal) if goal.seq > after => office.past.next(place, after, goal.seq).await,
                _ => Ok(None),
            }
        };
        let (record, standing, next) = tokio::try_join!(record, standing, next)?;
        let contact = task.goal.and_then(|goal| goal.message.as_ref()).and_then(|goal| goal.contact.clone());
        let turn = Self {
            definition: office.definitions.of(&place.tenant),
            handled: record.state.handled_seq,
            is_published: record.state.pending.is_empty(),
            trace: task.goal.map_or_else(TraceContext::root, |goal| goal.trace),
            office,
            place,
            standing,
            record,
            contact,
        };
        Ok((turn, next))
    }

    /// Answers everything that the contact wrote up to `goal` and nobody has answered. `next` may be the first of it.
    async fn catch_up(
        &mut self,
        goal: &Stored,
        mut next: Option<Stored>,
        is_alone: bool,
    ) -> Result<(), Obstacle> {
        let floor = self.office.past.floor();
        for _ in 0..MESSAGES_MAX {
            if self.handled >= goal.seq {
                return Ok(());
            }
            let after = self.handled.max(floor).min(goal.seq - 1);
            let stored = match next.take().filter(|next| next.seq > after) {
                Some(next) => next,
                // The stream may have let the goal go.
                None => {
                    self.office.past.next(self.place, after, goal.seq).await?.unwrap_or_else(|| goal.clone())
                }
            };
            let is_at_once = is_alone && stored.seq == goal.seq;
            self.answer(&stored, is_at_once).await?;
            if !self.hand_over().await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn answer(&mut self, stored: &Stored, is_at_once: bool) -> Result<(), Obstacle> {
        let Some(message) = &stored.message else {
            meter::input("undecodable");
            self.handled = stored.seq;
            return Ok(());
        };
        let said =
            Said { input: Input::of(message, stored.seq), stored_at_ms: stored.at_ms, trace: stored.trace };
        if message.contact.is_some() {
            self.contact.clone_from(&message.contact);
        }
        self.trace = stored.trace;
        let decision = self.decider().decide(self.record.state.clone(), &said).await;
        let (waits, hands_over) = (
            crate::waiting::contains(decision.state.waiting.as_ref(), stored.seq),
            !decision.state.handoff.is_empty(),
        );
        let is_answered = !decision.answers.is_empty();
        self.write(decision, (message, Moment::AtOnce), stored.seq).await?;
        meter::input(match (hands_over, is_answered, waits) {
            (true, ..) => "handed_over",
            (_, true, _) => "answered",
            (_, _, true) => "waits",
            _ => "silent",
        });
        if is_answered {
            let milliseconds = self.count_answer(stored.at_ms);
            if is_at_once {
                meter::decided(milliseconds);
            }
        }
        Ok(())
    }

    /// Writes a decision, then publishes what it says.
    async fn write(
        &mut self,
        decision: Decision,
        (input, moment): (&Message, Moment),
        handled: u64,
    ) -> Result<(), Obstacle> {
        let language = self.decider().language(&decision.state);
        let now_ms = clock::now_ms();
        let pending = publication::messages(self.place, input, (moment, language), &decision.answers, now_ms);
        let handled = handled.max(self.handled);
        let changes_nothing = pending.is_empty() && decision.state == self.record.state;
        if changes_nothing && !self.record.is_written() {
            self.handled = handled;
            return Ok(());
        }
        let mut state = decision.state;
        (state.handled_seq, state.pending, state.decided_at_ms) = (handled, pending, now_ms);
        self.record = self.office.conversations.put(self.place, &self.record, state).await?;
        self.is_published = self.record.state.pending.is_empty();
        self.handled = handled;
        decision.answers.iter().for_each(|(by, _)| meter::reply(*by));
        self.publish().await
    }

    /// How long the contact waited, milliseconds.
    fn count_answer(&self, stored_at_ms: i64) -> u64 {
        let milliseconds = u64::try_from(clock::now_ms() - stored_at_ms).unwrap_or(0);
        self.office.works.answered(&self.place.tenant, milliseconds);
        milliseconds
    }

    fn decider(&self) -> Decider<'_> {
        Decider {
            office: self.office,
            place: self.place,
            definition: &self.definition,
            standing: &self.standing,
            now_ms: clock::now_ms(),
        }
    }
}
