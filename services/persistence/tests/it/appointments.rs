//! Appointments: made once, changed by people, told to everyone.

use std::collections::BTreeMap;

use anyhow::Result;
use chasqui_kit::{Code, TraceContext, publish::Fact};
use chasqui_proto::{
    ConversationId, service,
    subject::{self, NodeToken},
    v1::{self, Alias, AliasKind, Appointment, Contact},
};
use chasqui_testkit::wait_for;
use futures::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use crate::{
    clinic::{Clinic, get, not_found, subject_of, told},
    world::{SOON, World, inbound, phone, refusal, tenant},
};

fn change(id: &str) -> v1::ChangeAppointment {
    v1::ChangeAppointment { tenant: "default".into(), id: id.into(), ..v1::ChangeAppointment::default() }
}

fn becoming(id: &str, status: &str) -> v1::ChangeAppointment {
    v1::ChangeAppointment { status: Some(status.to_owned()), ..change(id) }
}

/// How many states of an appointment the stream was given so far.
async fn tellings(world: &World, appointment: &Appointment) -> Result<i64> {
    let query = sqlx::query_scalar("select told_version from appointments where id = $1::uuid");
    Ok(query.bind(&appointment.id).fetch_one(&world.pool).await?)
}

#[tokio::test]
async fn ben_36_a_booking_is_a_pending_appointment_and_is_told() -> Result<()> {
    let clinic = Clinic::open().await?;
    // The contact's first message is not stored yet: there is no conversation.
    let request = clinic.booking(1);
    let answer = clinic.ask(service::APPOINTMENTS_BOOK, request.clone()).await?;
    let values: BTreeMap<&str, &str> =
        answer.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("appointment", request.request_id.as_str()),
        ("appointment_city", "Bogotá"),
        ("appointment_specialty", "Cardiología"),
        ("appointment_status", "pending"),
    ];
    assert_eq!((values, answer.refused.as_str()), (expected.into(), ""));
    let appointment = clinic.get(&request.request_id).await?;
    let token = phone(1);
    assert_eq!(
        appointment,
        Appointment {
            id: request.request_id,
            tenant: "default".into(),
            conversation: token.clone(),
            user_id: token.clone(),
            status: "pending".into(),
            city: "Bogotá".into(),
            specialty: "Cardiología".into(),
            visit_type: "primera vez".into(),
            description: "dolor de pecho".into(),
            version: 1,
            patient_document: "1234567K".into(),
            patient_name: "Paciente de prueba".into(),
            ..appointment.clone()
        }
    );
    assert_eq!((appointment.scheduled_at_ms, appointment.created_at_ms), (0, appointment.updated_at_ms));
    told(&clinic.world, &appointment).await;
    let seq = clinic.world.publish_message(&inbound(1, 0, "gracias")).await?;
    clinic.world.stored(seq).await;
    let id = ConversationId::of(&tenant(), &token.parse()?).to_string();
    assert_eq!(clinic.world.conversation(&token).await?.id, id, "the message finds its conversation");
    clinic.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn ben_36_asked_twice_there_is_one_appointment_and_it_is_told_once() -> Result<()> {
    const TIMES: usize = 20;
    let clinic = Clinic::open().await?;
    let other = clinic.world.replica().await?;
    let (alias, contact) = (Alias { kind: AliasKind::Web.into(), value: "u1".into() }, Contact::default());
    let contact = Some(Contact { aliases: vec![alias], ..contact });
    let request = v1::FlowRequest { contact, conversation: "web_u1".into(), ..clinic.booking(1) };
    let name = subject::appointments_updated(&tenant(), &NodeToken::new(&request.request_id));
    let mut all = clinic.world.bus.client().subscribe(name.as_str().to_owned()).await?;
    let answers: Vec<v1::FlowAnswer> = stream::iter(0..TIMES)
        .map(|_| clinic.ask(service::APPOINTMENTS_BOOK, request.clone()))
        .buffer_unordered(TIMES)
        .try_collect()
        .await?;
    assert!(answers.iter().all(|answer| answer == &answers[0] && answer.refused.is_empty()));
    let count: i64 =
        sqlx::query_scalar("select count(*) from appointments").fetch_one(&clinic.world.pool).await?;
    assert_eq!(count, 1);
    let appointment = clinic.get(&request.request_id).await?;
    assert_eq!(appointment.user_id, "u1");
    told(&clinic.world, &appointment).await;
    // Once more, after the patient and the city have gone from the register as far as they can.
    sqlx::query("delete from specialties").execute(&clinic.world.pool).await?;
    sqlx::query("delete from cities").execute(&clinic.world.pool).await?;
    assert_eq!(clinic.ask(service::APPOINTMENTS_BOOK, request).await?, answers[0]);
    wait_for(SOON, "it is marked as told", async || {
        (tellings(&clinic.world, &appointment).await.ok()? == 1).then_some(())
    })
    .await;
    clinic.replica.stop().await;
    other.stop().await;
    // A message without a body is the end: nobody is left to say more.
    clinic.world.bus.client().publish(name.as_str().to_owned(), "".into()).await?;
    let mut states = 0;
    while all.next().await.is_some_and(|message| !message.payload.is_empty()) {
        states += 1;
    }
    assert_eq!(states, 1, "told once");
    Ok(())
}

#[tokio::test]
async fn ben_36_many_contacts_book_at_once_and_each_has_one_appointment() -> Result<()> {
    const CONTACTS: u32 = 500;
    let clinic = Clinic::open().await?;
    let other = clinic.world.replica().await?;
    let requests: Vec<v1::FlowRequest> = (0..CONTACTS).map(|number| clinic.booking(number)).collect();
    // Each asks twice, as after an answer that was lost.
    let answers: Vec<v1::FlowAnswer> = stream::iter(requests.iter().chain(&requests))
        .map(|request| clinic.ask(service::APPOINTMENTS_BOOK, request.clone()))
        .buffer_unordered(64)
        .try_collect()
        .await?;
    assert!(answers.iter().all(|answer| answer.refused.is_empty()));
    let (rows, contacts): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct conversation_id) from appointments")
            .fetch_one(&clinic.world.pool)
            .await?;
    assert_eq!((rows, contacts), (i64::from(CONTACTS), i64::from(CONTACTS)));
    wait_for(SOON, "all are told", async || {
        let query = sqlx::query_scalar("select count(*) from appointments where told_version = version");
        let told: i64 = query.fetch_one(&clinic.world.pool).await.ok()?;
        (told == rows).then_some(())
    })
    .await;
    clinic.replica.stop().await;
    other.stop().await;
    Ok(())
}

#[tokio::test]
async fn ben_36_what_is_not_in_the_register_is_refused_by_name() -> Result<()> {
    let clinic = Clinic::open().await?;
    let unknown = Uuid::now_v7().to_string();
    let with = |name: &str, value: &str| {
        let mut request = clinic.booking(1);
        request.parameters.insert(name.to_owned(), value.to_owned());
        request
    };
    for name in ["patient", "city", "specialty"] {
        let answer = clinic.ask(service::APPOINTMENTS_BOOK, with(name, &unknown)).await?;
        assert_eq!(not_found(&answer), name);
        let refused = refusal(clinic.ask(service::APPOINTMENTS_BOOK, with(name, "Bogotá")).await);
        assert_eq!(refused, (Code::InvalidInput, format!("{name}: must be the UUID that it was found with")));
    }
    let long = refusal(clinic.ask(service::APPOINTMENTS_BOOK, with("description", &"x".repeat(2_001))).await);
    assert_eq!(long.1, "description: must have at most 2000 characters");
    let foreign = v1::FlowRequest { tenant: "other".into(), ..clinic.booking(1) };
    assert_eq!(not_found(&clinic.ask(service::APPOINTMENTS_BOOK, foreign).await?), "patient");
    let count: i64 =
        sqlx::query_scalar("select count(*) from appointments").fetch_one(&clinic.world.pool).await?;
    assert_eq!(count, 0);
    let nul = clinic.ask(service::APPOINTMENTS_BOOK, with("description", "a\0b")).await?;
    assert_eq!(clinic.get(&nul.values["appointment"]).await?.description, "a\u{fffd}b");
    clinic.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn ben_41_a_person_changes_an_appointment_and_everyone_is_told() -> Result<()> {
    const AT_MS: i64 = 1_760_000_000_123;
    let clinic = Clinic::open().await?;
    let booked = clinic.book(1).await?;
    let ask = async |question| clinic.world.ask(service::APPOINTMENTS_CHANGE, question).await;
    let confirmation = v1::ChangeAppointment {
        scheduled_at_ms: Some(AT_MS),
        description: Some("é".repeat(2_000)),
        ..becoming(&booked.id, "confirmed")
    };
    let confirmed = ask(confirmation.clone()).await?;
    assert_eq!(
        (confirmed.status.as_str(), confirmed.scheduled_at_ms, confirmed.version),
        ("confirmed", AT_MS, 2)
    );
    assert!(
        confirmed.updated_at_ms >= booked.updated_at_ms && confirmed.created_at_ms == booked.created_at_ms
    );
    told(&clinic.world, &confirmed).await;
    assert_eq!(ask(confirmation).await?, confirmed, "twice is once");
    let backwards = refusal(ask(becoming(&booked.id, "pending")).await);
    let told_why = "status: pending becomes confirmed or cancelled, and confirmed becomes done or cancelled";
    assert_eq!(backwards, (Code::Conflict, told_why.to_owned()));
    let done =
        ask(v1::ChangeAppointment { scheduled_at_ms: Some(0), ..becoming(&booked.id, "done") }).await?;
    assert_eq!((done.status.as_str(), done.scheduled_at_ms, done.version), ("done", 0, 3));
    told(&clinic.world, &done).await;
    let late = v1::ChangeAppointment { description: Some("otra".into()), ..change(&booked.id) };
    assert_eq!(refusal(ask(late).await).0, Code::Conflict, "it has ended");
    for (field, bad) in [
        ("id", change("7")),
        ("status", becoming(&booked.id, "gone")),
        ("scheduled_at", v1::ChangeAppointment { scheduled_at_ms: Some(-1), ..change(&booked.id) }),
        ("description", v1::ChangeAppointment { description: Some("x".repeat(2_001)), ..change(&booked.id) }),
    ] {
        let (code, message) = refusal(ask(bad).await);
        assert_eq!(code, Code::InvalidInput);
        assert!(message.starts_with(&format!("{field}: must ")), "{message}");
    }
    clinic.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_appointment_is_seen_in_its_tenant_only() -> Result<()> {
    let clinic = Clinic::open().await?;
    let booked = clinic.book(1).await?;
    let other = || "other".to_owned();
    let get = v1::GetAppointment { tenant: other(), id: booked.id.clone() };
    assert_eq!(
        refusal(clinic.world.ask(service::APPOINTMENTS_GET, get).await),
        (Code::NotFound, "there is no such appointment".to_owned())
    );
    let change = v1::ChangeAppointment { tenant: other(), ..becoming(&booked.id, "cancelled") };
    assert_eq!(refusal(clinic.world.ask(service::APPOINTMENTS_CHANGE, change).await).0, Code::NotFound);
    let list = v1::ListAppointments { tenant: other(), ..v1::ListAppointments::default() };
    assert!(clinic.world.ask(service::APPOINTMENTS_LIST, list.clone()).await?.appointments.is_empty());
    let of_contact = v1::ListAppointments { conversation: phone(1), ..list };
    assert_eq!(refusal(clinic.world.ask(service::APPOINTMENTS_LIST, of_contact).await).0, Code::NotFound);
    assert_eq!(clinic.get(&booked.id).await?, booked, "and nothing has changed");
    clinic.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn appointments_are_listed_newest_first_by_status_and_by_contact() -> Result<()> {
    let clinic = Clinic::open().await?;
    let mut all = Vec::new();
    for number in 0..7 {
        all.push(clinic.book(number % 2 + 1).await?.id);
    }
    let cancelled = becoming(&all[3], "cancelled");
    clinic.world.ask(service::APPOINTMENTS_CHANGE, cancelled).await?;
    let listed = async |status: &str, conversation: &str| -> Result<Vec<String>> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let question = v1::ListAppointments {
                tenant: "default".into(),
                status: status.into(),
                conversation: conversation.into(),
                cursor,
                limit: 2,
            };
            let page = clinic.world.ask(service::APPOINTMENTS_LIST, question).await?;
            assert!(page.appointments.len() <= 2);
            ids.extend(page.appointments.into_iter().map(|appointment| appointment.id));
            cursor = page.next;
            if cursor.is_empty() {
                return Ok(ids);
            }
        }
    };
    let of = |places: &[usize]| places.iter().map(|place| all[*place].clone()).collect::<Vec<_>>();
    assert_eq!(listed("", "").await?, of(&[6, 5, 4, 3, 2, 1, 0]));
    assert_eq!(listed("pending", "").await?, of(&[6, 5, 4, 2, 1, 0]));
    assert_eq!(listed("cancelled", "").await?, of(&[3]));
    assert_eq!(listed("", &phone(2)).await?, of(&[5, 3, 1]));
    assert_eq!(listed("pending", "+54 911 0000-0002").await?, of(&[5, 1]));
    let question = |status: &str, cursor: &str, limit| v1::ListAppointments {
        tenant: "default".into(),
        status: status.into(),
        cursor: cursor.into(),
        limit,
        ..v1::ListAppointments::default()
    };
    for (field, bad) in [
        ("status", question("gone", "", 0)),
        ("cursor", question("", "7", 0)),
        ("limit", question("", "", 201)),
    ] {
        let (code, message) = refusal(clinic.world.ask(service::APPOINTMENTS_LIST, bad).await);
        assert_eq!(code, Code::InvalidInput);
        assert!(message.starts_with(&format!("{field}: must ")), "{message}");
    }
    clinic.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn ben_41_what_changed_while_the_broker_was_away_is_told_when_it_is_back() -> Result<()> {
    let clinic = Clinic::open().await?;
    let booked = clinic.book(1).await?;
    told(&clinic.world, &booked).await;
    clinic.world.nats.stop().await;
    // Another process changed it, and died before it told anybody.
    sqlx::query("update appointments set status = 'confirmed', version = 2, updated_at = now()")
        .execute(&clinic.world.pool)
        .await?;
    clinic.world.nats.restart().await?;
    let confirmed =
        wait_for(SOON, "it answers again", async || get(&clinic.world, &booked.id).await.ok()).await;
    assert_eq!((confirmed.status.as_str(), confirmed.version), ("confirmed", 2));
    told(&clinic.world, &confirmed).await;
    clinic.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn ben_41_what_a_dead_process_had_in_hand_is_told_by_another() -> Result<()> {
    let clinic = Clinic::open().await?;
    let older = clinic.book(1).await?;
    let question = becoming(&older.id, "cancelled");
    let newer = clinic.world.ask(service::APPOINTMENTS_CHANGE, question).await?;
    told(&clinic.world, &newer).await;
    wait_for(SOON, "it is marked as told", async || {
        (tellings(&clinic.world, &newer).await.ok()? == 2).then_some(())
    })
    .await;
    // It told an older state after the newer one, which it could not know of, and died before it said so.
    let name = subject::appointments_updated(&tenant(), &NodeToken::new(&older.id));
    assert_eq!(name.as_str(), subject_of(&older));
    clinic.world.bus.publish(Fact::new(name, &older, "late", TraceContext::root())).await?;
    sqlx::query("update appointments set told_version = 1, telling_until = now() + interval '1 second'")
        .execute(&clinic.world.pool)
        .await?;
    told(&clinic.world, &newer).await;
    clinic.replica.stop().await;
    Ok(())
}
