-- Conversations and messages under the names other programs know.

create view conversations_new as
select
    id,
    tenant as user_id,
    external_id,
    contact_name,
    contact_photo_url,
    started_at,
    channel_id as wa_user_id,
    ai_active,
    personality_id,
    no_ac_ai,
    unread_count,
    last_message_at,
    created_at,
    updated_at
from conversations
where last_seq > 0;

create view messages_new as
select
    id,
    conversation_id,
    tenant as user_id,
    sender_type,
    message_type,
    text_content,
    media_url,
    interactions,
    created_at
from messages;

comment on view conversations_new is 'Conversations under the column names of the system before';
comment on view messages_new is 'Messages under the column names of the system before';
