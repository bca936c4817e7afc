//! What a plan says, ready to be done. Pure.

use chasqui_campaign::Quiet;
use chasqui_proto::v1::{CampaignPlan, Recipient};

use crate::{
    key::CampaignKey,
    letter::{Letter, Text, Unaddressed},
};

/// What is sent, and when not.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) text: Text,
    pub(crate) quiet: Option<Quiet>,
}

impl Order {
    /// The order of a plan; else what is wrong with it, for people.
    pub(crate) fn read(key: &CampaignKey, plan: &CampaignPlan) -> Result<Self, String> {
        let text = Text::read(key, plan).map_err(|error| error.to_string())?;
        let quiet = Quiet::read(plan).map_err(|error| format!("quiet_hours, time_zone: {error}"))?;
        Ok(Self { text, quiet })
    }

    /// The messages to recipients. Once the campaign is cancelled they are not sent.
    pub(crate) fn letters(
        &self,
        recipients: Vec<Recipient>,
        is_cancelled: bool,
    ) -> Result<Vec<(Recipient, Letter)>, Unaddressed> {
        let letter = |recipient: Recipient| {
            let letter = self.text.letter(&recipient)?;
            Ok((recipient, if is_cancelled { letter.withheld() } else { letter }))
        };
        recipients.into_iter().map(letter).collect()
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{Message, QuietHours};

    use super::*;

    fn problem(plan: &CampaignPlan) -> String {
        let id = "0d9a4a5e-0000-4000-8000-000000000005".parse().unwrap();
        Order::read(&CampaignKey { tenant: "default".parse().unwrap(), id }, plan).unwrap_err()
    }

    #[test]
    fn what_is_wrong_with_a_plan_is_named() {
        let message = Some(Message { raw: "{".into(), ..Message::default() });
        let problem_of_message = problem(&CampaignPlan { message, ..CampaignPlan::default() });
        assert!(problem_of_message.starts_with("the message cannot be read: "), "{problem_of_message}");
        let quiet_hours = Some(QuietHours { from_minute: 9, to_minute: 9 });
        let problem_of_hours = problem(&CampaignPlan { quiet_hours, ..CampaignPlan::default() });
        assert!(problem_of_hours.starts_with("quiet_hours, time_zone: must not "), "{problem_of_hours}");
    }
}
