use super::*;

fn progress(campaign: &str, status: CampaignStatus) -> BulkProgress {
    BulkProgress { campaign: campaign.to_owned(), status: status.into(), ..BulkProgress::default() }
}

fn event(seq: u64, progress: BulkProgress) -> Arc<Event> {
    Arc::new(Event::of_campaign(progress, Mark { life: "18a".into(), seq }))
}

fn after_end(campaign: &str, end_seq: u64) -> BulkProgress {
    BulkProgress { after_end: true, end_seq, ..progress(campaign, CampaignStatus::Completed) }
}

/// Campaigns of which these states came, each at its position.
fn told(states: impl IntoIterator<Item = (u64, BulkProgress)>) -> Campaigns {
    let mut campaigns = Campaigns::default();
    for (seq, progress) in states {
        campaigns.take(&event(seq, progress));
    }
    campaigns
}

/// Whether those who are here are shown a state.
fn is_news(campaigns: &mut Campaigns, seq: u64, progress: BulkProgress) -> bool {
    let shown = campaigns.take(&event(seq, progress));
    shown.is_some_and(|event| matches!(&event.fact, Fact::Bulk(progress) if !progress.after_end))
}

/// Campaign and position of what somebody is shown.
fn shown(campaigns: &Campaigns, since: Option<u64>) -> Vec<(String, u64)> {
    let of = |event: Arc<Event>| match (&event.fact, &event.mark) {
        (Fact::Bulk(progress), Some(mark)) => {
            assert!(!progress.after_end, "it would not be shown");
            (progress.campaign.clone(), mark.seq)
        }
        other => panic!("{other:?} is no campaign"),
    };
    campaigns.since(since).into_iter().map(of).collect()
}

fn at(campaign: &str, seq: u64) -> (String, u64) {
    (campaign.to_owned(), seq)
}

#[test]
fn who_comes_new_is_told_what_is_under_way_and_has_then_been_told_everything() {
    let campaigns = told([
        (1, progress("scheduled", CampaignStatus::Scheduled)),
        (2, progress("ended", CampaignStatus::Running)),
        (3, progress("running", CampaignStatus::Running)),
        (4, progress("paused", CampaignStatus::Paused)),
        (5, progress("ended", CampaignStatus::Completed)),
        (6, progress("stopped", CampaignStatus::Failed)),
    ]);
    assert_eq!(shown(&campaigns, None), [at("scheduled", 1), at("running", 3), at("paused", 6)]);
    assert_eq!(shown(&campaigns, Some(6)), []);
}

#[test]
fn who_comes_back_is_told_what_has_changed_once() {
    let campaigns = told([
        (1, progress("scheduled", CampaignStatus::Scheduled)),
        (5, progress("ended", CampaignStatus::Cancelled)),
        (7, progress("running", CampaignStatus::Running)),
    ]);
    assert_eq!(shown(&campaigns, Some(4)), [at("ended", 5), at("running", 7)]);
    assert_eq!(shown(&campaigns, Some(5)), [at("running", 7)]);
    assert_eq!(shown(&campaigns, Some(7)), []);
    assert_eq!(shown(&campaigns, Some(9)), [], "the node it comes from is ahead");
}

#[test]
fn an_end_is_told_to_who_missed_it_and_not_again_for_what_comes_after() {
    // The node has heard all of it, or reads the last word, which says where the end was told.
    let heard = told([(5, progress("a", CampaignStatus::Completed)), (8, after_end("a", 0))]);
    let read = told([(8, after_end("a", 5))]);
    for campaigns in [&heard, &read] {
        assert_eq!(shown(campaigns, Some(4)), [at("a", 8)]);
        assert_eq!(shown(campaigns, Some(5)), []);
        assert_eq!(shown(campaigns, None), []);
    }
    let unknown = told([(8, after_end("a", 0)), (9, after_end("a", 0))]);
    assert_eq!((shown(&unknown, Some(7)), shown(&unknown, Some(8))), (vec![at("a", 9)], vec![]));
}

#[test]
fn an_end_that_went_past_is_shown_with_the_first_word_after_it() {
    let mut campaigns = told([(3, progress("a", CampaignStatus::Running))]);
    assert!(is_news(&mut campaigns, 8, after_end("a", 5)));
    assert!(!is_news(&mut campaigns, 9, after_end("a", 5)));
    assert!(is_news(&mut campaigns, 14, after_end("a", 12)), "it was started again, and ended again");
    assert!(is_news(&mut campaigns, 15, after_end("b", 11)), "all of it went past");
}

#[test]
fn what_comes_twice_or_late_is_no_news() {
    let mut campaigns = told([(5, progress("a", CampaignStatus::Running))]);
    for seq in [5, 4] {
        assert!(!is_news(&mut campaigns, seq, progress("a", CampaignStatus::Paused)), "{seq}");
    }
    assert!(!is_news(&mut campaigns, 6, progress("b", CampaignStatus::Draft)), "nobody is told of it");
    assert_eq!(shown(&campaigns, None), [at("a", 6)]);
    assert!(is_news(&mut campaigns, 7, progress("a", CampaignStatus::Running)));
}

#[test]
fn the_newest_hundred_are_remembered_and_the_others_never_become_news_again() {
    let mut campaigns = Campaigns::default();
    let states = |status| (1..=150_u64).map(move |seq| (seq, progress(&format!("{status:?} {seq}"), status)));
    for (seq, progress) in states(CampaignStatus::Completed).chain(states(CampaignStatus::Paused)) {
        campaigns.take(&event(seq, progress));
    }
    assert_eq!(campaigns.since(Some(0)).len(), ENDED_MAX + UNDER_WAY_MAX);
    assert_eq!(shown(&campaigns, None).first(), Some(&at("Paused 51", 51)));
    let campaigns = &mut campaigns;
    assert!(!is_news(campaigns, 7, progress("Completed 7", CampaignStatus::Completed)));
    assert!(!is_news(campaigns, 151, after_end("Completed 7", 7)), "its end was told");
    assert!(is_news(campaigns, 152, progress("Completed 7", CampaignStatus::Running)), "it was resumed");
}
