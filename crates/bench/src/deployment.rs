//! The deployment under the load: its entrance, its sockets, its history.

use futures::{StreamExt, TryStreamExt};
use hyper::StatusCode;

use crate::{
    address::Address,
    audience::Audience,
    letter::{Entrance, Letter},
    load::Poster,
    options::Options,
    plan::Plan,
    socket::{Dialect, Socket},
    stored::{History, Stored},
    trial::{self, Load, Measurement},
};

/// How many sockets are opened at once.
const OPENING_MAX: usize = 16;

/// Measures the deployment, and looks into its history where that was asked.
pub(crate) async fn measure(
    options: &Options,
    load: &Load<'_>,
) -> anyhow::Result<(Measurement, Option<Stored>)> {
    let plan = load.plan();
    let ingest = Address::parse(&options.ingest)?;
    let edges = options.edge_addresses()?;
    let audience = audience(options, &plan, &edges).await?;
    let letter = Letter::new(&ingest, &plan, load.text_bytes, &options.entrance);
    let posters = Poster::several(load.lanes, &ingest, &letter, also_durable(options)).await?;
    let (measurement, sent) = trial::run(&plan, posters, audience, load).await?;
    if !options.verify_stored {
        return Ok((measurement, None));
    }
    let history = History::new(&edges[0], options.credential.of_staff(0)?, &plan.run);
    let stored = history.verify(&plan, &sent, load.stragglers_wait).await?;
    Ok((measurement, Some(stored)))
}

async fn audience(options: &Options, plan: &Plan, edges: &[Address]) -> anyhow::Result<Audience> {
    let mut audience = Audience::new(plan);
    let places = places(options, plan, edges.len());
    let opening = (0..).zip(places).map(|(number, (edge, conversation))| async move {
        let socket = Socket::open(options.dialect, &edges[edge], &options.credential, number).await?;
        Ok::<_, anyhow::Error>((conversation, socket))
    });
    let mut opened = futures::stream::iter(opening).buffer_unordered(OPENING_MAX);
    while let Some((conversation, socket)) = opened.try_next().await? {
        audience.join(conversation, socket);
    }
    Ok(audience)
}

/// The edge of each socket, and what it shows. Contacts are numbered as their conversations.
fn places(options: &Options, plan: &Plan, edges: usize) -> Vec<(usize, Option<u32>)> {
    match options.dialect {
        Dialect::Crm => {
            let sockets = edges * options.sockets_per_edge as usize;
            (0..sockets).map(|socket| (socket % edges, None)).collect()
        }
        Dialect::Widget => {
            (0..plan.conversations).map(|contact| (contact as usize % edges, Some(contact))).collect()
        }
    }
}

/// A reply to a contact without a widget is answered 404 and durable all the same; with widgets open it is a fault.
pub(crate) fn also_durable(options: &Options) -> Option<StatusCode> {
    match (&options.entrance, options.dialect) {
        (Entrance::BotReply { .. }, Dialect::Crm) => Some(StatusCode::NOT_FOUND),
        _ => None,
    }
}

/// The same where clients leave while replies are written to them.
pub(crate) fn also_durable_while_away(options: &Options) -> Option<StatusCode> {
    matches!(options.entrance, Entrance::BotReply { .. }).then_some(StatusCode::NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{credential::Credential, options::Mode, plan::Pace};

    #[test]
    fn staff_hears_everything_on_every_edge_and_each_contact_its_own_on_one() {
        let entrance = Entrance::BotReply { api_key: "key".into() };
        let mode = Mode::Throughput { seconds: 10 };
        let mut options = Options::new(mode, entrance, Credential::Token("token".into()));
        options.sockets_per_edge = 2;
        let plan = Plan::new(Pace::Closed, 10, 1, 3);
        assert_eq!(places(&options, &plan, 2), [(0, None), (1, None), (0, None), (1, None)]);
        options.dialect = Dialect::Widget;
        assert_eq!(places(&options, &plan, 2), [(0, Some(0)), (1, Some(1)), (0, Some(2))]);
    }
}
