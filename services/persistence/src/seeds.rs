//! Made-up patients, cities and specialties, so that a flow can be walked through where nobody has filled the register.

use chasqui_proto::{Tenant, id::fact_id};
use sqlx::PgPool;
use uuid::Uuid;

/// Documents and names of patients who do not exist.
const PATIENTS: [(&str, &str); 5] = [
    ("10000001", "Paciente de prueba 1"),
    ("10000002", "Paciente de prueba 2"),
    ("10000003", "Paciente de prueba 3"),
    ("CE100004", "Paciente de prueba 4"),
    ("PA100005", "Paciente de prueba 5"),
];

const CITIES: [&str; 5] = ["Barranquilla", "Bogotá", "Bucaramanga", "Cali", "Medellín"];

/// Specialties of every city, and what contacts are told of them.
const SPECIALTIES: [(&str, &str); 12] = [
    ("Cardiología", "Corazón y circulación"),
    ("Dermatología", "Piel, cabello y uñas"),
    ("Endocrinología", "Hormonas y metabolismo"),
    ("Gastroenterología", "Aparato digestivo"),
    ("Ginecología y obstetricia", "Salud de la mujer y embarazo"),
    ("Medicina general", "Primera consulta y seguimiento"),
    ("Medicina interna", "Enfermedades del adulto"),
    ("Neurología", "Cerebro y sistema nervioso"),
    ("Oftalmología", "Ojos y visión"),
    ("Ortopedia y traumatología", "Huesos y articulaciones"),
    ("Pediatría", "Niñas, niños y adolescentes"),
    ("Psicología", "Salud mental"),
];

/// Fills a tenant's register. What is there already stays as it is, also what people have renamed: each has the same id
/// every time.
pub(crate) async fn sow(pool: &PgPool, tenant: &Tenant) -> sqlx::Result<()> {
    let id = |parts: &[&str]| -> Uuid { fact_id(&[&["seed", tenant.as_str()], parts].concat()) };
    let mut transaction = pool.begin().await?;
    sqlx::query(
        "insert into patients (tenant, id, document, name)
         select $1, n.id, n.document, n.name
         from unnest($2::uuid[], $3::text[], $4::text[]) as n (id, document, name) order by n.id
         on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(PATIENTS.map(|(document, _)| id(&["patient", document])))
    .bind(PATIENTS.map(|(document, _)| document))
    .bind(PATIENTS.map(|(_, name)| name))
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "insert into cities (tenant, id, name)
         select $1, n.id, n.name from unnest($2::uuid[], $3::text[]) as n (id, name) order by n.id
         on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(CITIES.map(|city| id(&["city", city])))
    .bind(CITIES)
    .execute(&mut *transaction)
    .await?;
    let each: Vec<(&str, &str, &str)> = CITIES
        .iter()
        .flat_map(|city| SPECIALTIES.iter().map(move |(name, description)| (*city, *name, *description)))
        .collect();
    // A city that somebody made under another id has its own specialties.
    sqlx::query(
        "insert into specialties (tenant, id, city_id, name, description)
         select $1, n.id, n.city_id, n.name, n.description
         from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[]) as n (id, city_id, name, description)
         join cities c on c.tenant = $1 and c.id = n.city_id order by n.id
         on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(each.iter().map(|(city, name, _)| id(&["specialty", city, name])).collect::<Vec<_>>())
    .bind(each.iter().map(|(city, ..)| id(&["city", city])).collect::<Vec<_>>())
    .bind(each.iter().map(|(_, name, _)| *name).collect::<Vec<_>>())
    .bind(each.iter().map(|(.., description)| *description).collect::<Vec<_>>())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}
