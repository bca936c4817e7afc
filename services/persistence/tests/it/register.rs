//! The register: what flows find in it, and how it is filled.

use anyhow::Result;
use chasqui_kit::Code;
use chasqui_proto::{service, v1::FlowRequest};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    clinic::{Clinic, add_city, add_specialty, asked, labels, not_found},
    world::{World, refusal},
};

#[tokio::test]
async fn ben_36_a_patient_is_found_by_its_document_however_it_is_written() -> Result<()> {
    let clinic = Clinic::open().await?;
    let find = |document: &str| {
        let request = asked(1, &[("document", document)]);
        clinic.ask(service::PATIENTS_FIND, request)
    };
    for document in ["1234567K", "1.234.567-k", " 1 234 567 K "] {
        let found = find(document).await?;
        assert_eq!(found.values["patient"], clinic.patient.to_string());
        assert_eq!(found.values["patient_name"], "Paciente de prueba");
        assert_eq!(found.values["patient_document"], "1234567K");
    }
    for document in ["", "1234567", "' or true --", "1234567K\0", &"9".repeat(5_000)] {
        assert_eq!(not_found(&find(document).await?), "document");
    }
    let foreign = FlowRequest { tenant: "other".into(), ..asked(1, &[("document", "1234567K")]) };
    assert_eq!(not_found(&clinic.ask(service::PATIENTS_FIND, foreign).await?), "document");
    let absent = refusal(clinic.ask(service::PATIENTS_FIND, asked(1, &[])).await);
    assert_eq!(absent, (Code::InvalidInput, "document: must be given".to_owned()));
    clinic.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn ben_36_cities_are_those_of_the_tenant_in_which_there_are_specialties() -> Result<()> {
    let clinic = Clinic::open().await?;
    for city in ["Medellín", "Ármenia", "Cali"] {
        let id = add_city(&clinic.world, "default", city).await?;
        if city != "Cali" {
            add_specialty(&clinic.world, "default", id, "Pediatría").await?;
        }
    }
    let foreign = add_city(&clinic.world, "other", "Lima").await?;
    add_specialty(&clinic.world, "other", foreign, "Pediatría").await?;
    let answer = clinic.ask(service::CITIES_LIST, asked(1, &[])).await?;
    assert_eq!(labels(&answer), ["Ármenia", "Bogotá", "Medellín"]);
    assert_eq!(answer.options[1].id, clinic.city.to_string());
    let again = sqlx::query("insert into cities (tenant, name) values ('default', 'BOGOTA')");
    assert!(again.execute(&clinic.world.pool).await.is_err(), "it is the same city");
    clinic.replica.stop().await;
    Ok(())
}

#[tokio::test]
async fn ben_36_specialties_are_found_without_accents_and_prefixes_come_first() -> Result<()> {
    let clinic = Clinic::open().await?;
    for name in [
        "Neurocirugía",
        "Cirugía (general)",
        "Cirugía plástica",
        "Alta cirugía",
        "NIÑEZ y familia",
        "100 % mujer_a",
        "Pediatri\u{301}a",
    ] {
        add_specialty(&clinic.world, "default", clinic.city, name).await?;
    }
    let city = clinic.city.to_string();
    let search = |text: &str| {
        let request = asked(1, &[("city", &city), ("text", text)]);
        clinic.ask(service::SPECIALTIES_SEARCH, request)
    };
    let found = search("CIRUGIA").await?;
    assert_eq!(labels(&found), ["Cirugía (general)", "Cirugía plástica", "Alta cirugía", "Neurocirugía"]);
    assert_eq!(found.options[0].description, "de Cirugía (general)");
    for (text, expected) in [
        ("¿Cirugía, general?", "Cirugía (general)"),
        ("plast  ciru", "Cirugía plástica"),
        ("cardiologi\u{301}a", "Cardiología"),
        ("ninez", "NIÑEZ y familia"),
        ("pediatría", "Pediatri\u{301}a"),
        ("100 %", "100 % mujer_a"),
    ] {
        assert_eq!(labels(&search(text).await?), [expected], "{text}");
    }
    for text in
        ["zoología", "cirugía dental", "x\0x", &"zoología ".repeat(1_000), "'; drop table patients; --"]
    {
        assert_eq!(not_found(&search(text).await?), "text", "{text}");
    }
    for number in 0..20 {
        add_specialty(&clinic.world, "default", clinic.city, &format!("Medicina {number:02}")).await?;
    }
    let many = search("medicina").await?;
    assert_eq!(many.options.len(), 10);
    assert_eq!(labels(&many)[..2], ["Medicina 00", "Medicina 01"]);
    assert_eq!(search("").await?.options.len(), 10, "no text is any specialty");
    let elsewhere = asked(1, &[("city", &Uuid::now_v7().to_string()), ("text", "cirugia")]);
    assert_eq!(not_found(&clinic.ask(service::SPECIALTIES_SEARCH, elsewhere.clone()).await?), "city");
    let foreign = FlowRequest { tenant: "other".into(), ..asked(1, &[("city", &city), ("text", "cirugia")]) };
    assert_eq!(not_found(&clinic.ask(service::SPECIALTIES_SEARCH, foreign).await?), "city");
    clinic.replica.stop().await;
    Ok(())
}

/// The service's README says how people fill the register: what stands there works, and again changes nothing.
#[tokio::test]
async fn the_register_is_filled_with_the_sql_of_the_readme() -> Result<()> {
    let world = World::new().await?;
    let replica = world.replica().await?;
    let (_, block) = include_str!("../../README.md").split_once("```sql").expect("the README has SQL");
    let (sql, _) = block.split_once("```").expect("the block ends");
    sqlx::raw_sql(sql).execute(&world.pool).await?;
    let ask = |parameters: &[(&str, &str)]| FlowRequest { tenant: "acme".into(), ..asked(1, parameters) };
    let patient = world.ask(service::PATIENTS_FIND, ask(&[("document", "1.234.567-K")])).await?;
    assert_eq!(patient.values["patient_name"], "Contact");
    let cities = world.ask(service::CITIES_LIST, ask(&[])).await?;
    let search = ask(&[("city", &cities.options[0].id), ("text", "cardio")]);
    let found = world.ask(service::SPECIALTIES_SEARCH, search).await?;
    assert_eq!((labels(&cities), labels(&found)), (vec!["Bogotá"], vec!["Cardiología"]));
    sqlx::raw_sql(sql).execute(&world.pool).await?;
    assert_eq!(counts(&world.pool).await?, (1, 1, 1));
    let loose = sqlx::query("insert into patients (tenant, document) values ('acme', '1.234')");
    let refused = loose.execute(&world.pool).await.unwrap_err().to_string();
    assert!(refused.contains("patients_document_check"), "{refused}");
    replica.stop().await;
    Ok(())
}

async fn counts(pool: &PgPool) -> Result<(i64, i64, i64)> {
    let query = sqlx::query_as(
        "select (select count(*) from patients), (select count(*) from cities), (select count(*) from specialties)",
    );
    Ok(query.fetch_one(pool).await?)
}

#[tokio::test]
async fn seeds_are_sown_where_asked_for_and_leave_alone_what_people_changed() -> Result<()> {
    let mut world = World::new().await?;
    let replica = world.replica().await?;
    assert_eq!(counts(&world.pool).await?, (0, 0, 0), "not without being asked");
    replica.stop().await;
    add_city(&world, "default", "CALI").await?;
    world.config.seed = true;
    let (one, other) = tokio::try_join!(world.replica(), world.replica())?;
    // Cali was there, and has what people gave it.
    assert_eq!(counts(&world.pool).await?, (5, 5, 48));
    one.stop().await;
    other.stop().await;
    for sql in [
        "update patients set name = 'Paciente' where document = '10000001'",
        "update cities set name = 'Bogotá Norte' where name = 'Bogotá'",
        "update specialties set name = 'Corazón' where name = 'Cardiología'",
    ] {
        sqlx::query(sql).execute(&world.pool).await?;
    }
    let replica = world.replica().await?;
    assert_eq!(counts(&world.pool).await?, (5, 5, 48));
    let kept: (i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from patients where name = 'Paciente'),
                (select count(*) from cities where name = 'Bogotá Norte'),
                (select count(*) from specialties where name = 'Corazón')",
    )
    .fetch_one(&world.pool)
    .await?;
    assert_eq!(kept, (1, 1, 4));
    let answer = world.ask(service::PATIENTS_FIND, asked(1, &[("document", "CE 100.004")])).await?;
    assert_eq!(answer.values["patient_name"], "Paciente de prueba 4");
    replica.stop().await;
    Ok(())
}
