-- Who is next in a campaign. While its list is new everybody is pending, and PostgreSQL believes so until it looks
-- again: by the primary key it would walk past all who have had their turn, each time.

create index campaign_recipients_pending_idx on campaign_recipients (campaign_id, line) where state = 'pending';
