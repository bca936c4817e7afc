//! Opt-outs: listed, and put and removed by operators.

use chasqui_kit::{TraceContext, serve::Responder};
use chasqui_proto::{service, v1};
use prost::Message;
use sqlx::PgPool;

use crate::{
    error::Error,
    meter,
    opt_out::{Source, Wish},
    page,
    position::Positions,
    queries::{one_more, tenant},
    reference,
    store::opt_outs::{self as rows, Row},
};

/// Answers for opt-outs.
#[derive(Clone, Debug)]
pub(crate) struct OptOuts {
    pub(crate) pool: PgPool,
    pub(crate) positions: Positions,
}

impl OptOuts {
    /// Answers requests about opt-outs.
    pub(crate) async fn answer(&self, responder: &Responder) -> Result<(), Error> {
        macro_rules! answer {
            ($endpoint:ident, $method:ident) => {
                let opt_outs = self.clone();
                let answer = move |question, _: TraceContext| {
                    let opt_outs = opt_outs.clone();
                    async move { opt_outs.$method(question).await }
                };
                responder.endpoint(service::$endpoint, answer).await?;
            };
        }
        answer!(OPT_OUTS_PUT, put);
        answer!(OPT_OUTS_REMOVE, remove);
        answer!(OPT_OUTS_LIST, list);
        Ok(())
    }

    async fn put(&self, question: v1::PutOptOut) -> Result<v1::OptOut, Error> {
        let (_, row) = self.set(&question.tenant, &question.conversation, true).await?;
        Ok(row.state())
    }

    async fn remove(&self, question: v1::RemoveOptOut) -> Result<v1::OptOutRemoved, Error> {
        let (removed, _) = self.set(&question.tenant, &question.conversation, false).await?;
        Ok(v1::OptOutRemoved { removed })
    }

    /// What an operator says: later than everything in the stream, though it may not be stored yet.
    async fn set(
        &self,
        tenant_name: &str,
        conversation: &str,
        opted_out: bool,
    ) -> Result<(bool, Row), Error> {
        let tenant = tenant(tenant_name)?;
        let token = reference::token(&self.pool, &tenant, conversation).await?;
        let seq = i64::try_from(self.positions.newest().await?).unwrap_or(i64::MAX);
        let (was_out, row) = rows::set(&self.pool, &tenant, &token, opted_out, seq).await?;
        if was_out != opted_out {
            meter::wishes(&[Wish { opted_out, source: Source::Operator }]);
        }
        Ok((was_out, row))
    }

    async fn list(&self, question: v1::ListOptOuts) -> Result<v1::OptOutPage, Error> {
        let (tenant, limit) = (tenant(&question.tenant)?, page::limit(question.limit)?);
        let before = page::before(&question.cursor)?;
        let found = rows::page(&self.pool, &tenant, before, one_more(limit)).await?;
        let (found, left) = page::cut(found, limit, |row| row.clone().state().encoded_len());
        let next = found.last().filter(|_| left).map(|row| page::cursor_before(row.position));
        let opt_outs = found.into_iter().map(Row::state).collect();
        Ok(v1::OptOutPage { opt_outs, next: next.unwrap_or_default() })
    }
}
