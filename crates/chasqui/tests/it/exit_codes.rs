use std::net::TcpListener;

use super::output;

const COMPLETE: [(&str, &str); 5] = [
    ("WHATSAPP_API_KEY", "key"),
    ("WHATSAPP_APP_SECRET", "secret"),
    ("WHATSAPP_VERIFY_TOKEN", "token"),
    ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
    ("SEALING_KEY", "0123456789abcdef0123456789abcdef"),
];

#[tokio::test]
async fn a_wrong_configuration_is_told_whole_and_exits_with_2() {
    let variables = [("PORT", "many"), ("CHASQUI__EDEG__SOCKETS_MAX", "1")];
    let (code, _, errors) = output(&["all"], &variables).await;
    assert_eq!(code, 2);
    for expected in ["http.port (PORT)", "edeg: there is no such section", "WHATSAPP_API_KEY", "JWT_SECRET"] {
        assert!(errors.contains(expected), "{expected} is missing in {errors}");
    }
}

#[tokio::test]
async fn a_taken_port_exits_with_20() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut variables = COMPLETE.to_vec();
    variables.push(("PORT", &port));
    let (code, _, errors) = output(&["ingest"], &variables).await;
    assert_eq!(code, 20, "{errors}");
    assert!(errors.contains(&port), "{errors}");
}

#[tokio::test]
async fn check_says_what_the_configuration_amounts_to_without_secrets() {
    let mut variables = COMPLETE.to_vec();
    variables.extend([("PORT", "3005"), ("DATABASE_URL", "postgres://me:mine@db/chasqui")]);
    let (code, text, errors) = output(&["check"], &variables).await;
    assert_eq!(code, 0, "{errors}");
    for expected in ["http.port = 3005", "persistence.database_url = (set)", "the configuration is good"] {
        assert!(text.contains(expected), "{expected} is missing in {text}");
    }
    for secret in ["mine", "0123456789abcdef"] {
        assert!(!text.contains(secret), "{secret} stands in {text}");
    }
}

#[tokio::test]
async fn a_process_that_is_not_there_is_not_healthy() {
    let (code, _, errors) = output(&["healthcheck", "--url", "http://127.0.0.1:1/readyz"], &[]).await;
    assert_eq!(code, 1);
    assert!(errors.contains("nobody answers"), "{errors}");
}
