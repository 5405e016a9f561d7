//! Where secrets come from, and that none is shown.

use super::*;

#[test]
fn secrets_come_from_files_and_lose_one_newline() {
    let host = Host::with(
        "[apps.default]\nclient_id = 'abc'\nauth = 'secret'\nclient_secret_file = 's'\n\
         [store]\nurl_file = 'u'\n[tokens]\nkey_file = 'k'\nold_key_file = 'o'\n\
         [web]\nlisten = '0.0.0.0:80'\npassword_file = 'p'\n",
    )
    .file("s", "client-hunter2\n")
    .file("u", "postgres://u:store-hunter2@db/longplay\n")
    .file("k", format!("{KEY}\n"))
    .file("o", KEY.replace("AAEC", "EAEC"))
    .file("p", " web hunter2 ");
    let settings = host.load();
    let Auth::Secret(secret) = &settings.apps[&"default".parse().unwrap()].auth else { panic!() };
    assert_eq!(secret.expose_secret(), "client-hunter2");
    assert_eq!(settings.store.url.expose_secret(), "postgres://u:store-hunter2@db/longplay");
    assert_eq!(settings.tokens.key.as_ref().unwrap().expose()[..4], [0, 1, 2, 3]);
    assert_eq!(settings.tokens.old_key.as_ref().unwrap().expose()[..4], [0x10, 1, 2, 3]);
    assert_eq!(settings.web.password.as_ref().unwrap().expose_secret(), " web hunter2 ");
    let printed = format!("{settings:?}");
    assert!(
        !printed.contains("hunter2") && !printed.contains("AAEC") && !printed.contains("0, 1, 2"),
        "{printed}"
    );
    assert_eq!(host.from("store.url"), ("(hidden)".into(), "u".into()));
    assert_eq!(host.from("apps.default.client_secret"), ("(hidden)".into(), "s".into()));
}

#[test]
fn secrets_come_from_systemd_credentials() {
    let host = Host::with("[apps.default]\nclient_id = 'abc'\nauth = 'secret'\n")
        .credential("app-default-secret", "client-hunter2\n")
        .credential("store-url", "postgres:///longplay?host=/run/postgresql&password=hunter2\n")
        .credential("token-key", KEY)
        .credential("token-key-old", KEY);
    let settings = host.load();
    assert!(matches!(settings.apps[&"default".parse().unwrap()].auth, Auth::Secret(_)));
    assert!(settings.tokens.key.is_some() && settings.tokens.key == settings.tokens.old_key);
    assert_eq!(host.from("store.url"), ("(hidden)".into(), "credential store-url".into()));
    assert_eq!(host.from("tokens.key"), ("(hidden)".into(), "credential token-key".into()));
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn roots_commands_find_the_credentials_of_the_service_where_systemd_does() {
    let stored = "etc/credstore/longplay.store-url";
    let in_use = "run/credentials/longplay.service/app-family-secret";
    let mut host = Host::new()
        .file("etc/longplay/longplay.toml", "[apps.family]\nclient_id = 'abc'\nauth = 'secret'\n")
        .file(stored, "postgres:///music?host=/run/postgresql")
        .file("etc/credstore/longplay.app-family-secret", "the unit does not load it")
        .file(in_use, "client-hunter2");
    host.place.system_file = host.path("etc/longplay/longplay.toml");
    assert_eq!(host.from("store.url"), ("(hidden)".into(), "credential store-url".into()));
    assert!(matches!(host.load().apps[&"family".parse().unwrap()].auth, Auth::Secret(_)));
    assert!(!host.place.lacks_credentials());
    host.place.root = false;
    assert!(host.faults()[0].contains("client_secret"), "{:?}", host.faults());
    assert!(host.place.lacks_credentials());
    // Another configuration has nothing to do with the service.
    host.place.root = true;
    host.place.config = Some(host.place.system_file.clone());
    host.load();
    let host = host.file("mine.toml", "[apps.family]\nclient_id = 'abc'\nauth = 'secret'\n");
    let config = Some(host.path("mine.toml"));
    let host = Host { place: Place { config, ..host.place.clone() }, ..host };
    assert!(host.faults()[0].contains("client_secret"), "{:?}", host.faults());
}

#[test]
fn a_secret_has_one_source() {
    let host =
        Host::with("[store]\nurl = 'postgres://u:hunter2@h/d'\nurl_file = 'u'\n").file("u", "sqlite:///x.db");
    let both = "longplay.toml: store.url: got a value, and u as well; \
                accepted: one of url, url_file and the credential store-url";
    assert_eq!(host.faults(), [both]);
    let host = Host::with("[tokens]\nkey_file = 'k'\n").file("k", KEY).credential("token-key", KEY);
    let both = "longplay.toml: tokens.key_file: got a value, and credential token-key as well; accepted: one of the two";
    assert_eq!(host.faults(), [both]);
}

#[test]
fn a_secret_that_is_unfit_is_told_but_never_shown() {
    let key = |content: &str| {
        let path = Host::new();
        let file = path.path("key").display().to_string();
        let host =
            path.file("longplay.toml", format!("[tokens]\nkey_file = '{file}'\n")).file("key", content);
        host.faults().concat()
    };
    for bad in ["hunter2", "aHVudGVyMg==", &format!("{KEY}{KEY}"), &format!("x{KEY}")] {
        let fault = key(bad);
        assert!(fault.contains("head -c 32 /dev/urandom | base64") && !fault.contains(bad), "{fault}");
    }
    assert!(key("").contains("an empty file") && key("\n").contains("an empty file"));
    assert!(key("a\nb").contains("more than one line"));
    // The secret where its path should be.
    let misplaced = Host::with(&format!("[tokens]\nkey_file = '{KEY}'\n[web]\npassword_file = 'hunter2.'\n"));
    let faults = misplaced.faults().concat();
    assert!(faults.contains("tokens.key_file") && faults.contains("web.password_file"), "{faults}");
    assert!(!faults.contains("AAEC") && !faults.contains("hunter2"), "{faults}");
    let host =
        Host::with("[store]\nurl_file = '/nowhere/u'\n").credential("store-url", "postgres//u:hunter2@h");
    assert!(!host.faults().concat().contains("hunter2"));
    let host = Host::new().credential("store-url", "postgres//u:hunter2@h");
    let fault = "credential store-url: store.url: got something else; \
                 accepted: \"sqlite://PATH\", or a \"postgres://\" URL";
    assert_eq!(host.faults(), [fault]);
    // A file that is no TOML because of the secret in it.
    let faults = Host::with("[store]\nurl = postgres://u:hunter2@h/d\n").faults().concat();
    assert!(faults.contains("line 2") && !faults.contains("hunter2"), "{faults}");
}

#[test]
fn a_password_in_a_url_is_never_shown() {
    for url in
        ["postgres://u:hunter2@h/d", "postgresql:///d?password=hunter2", "postgres://h/d?sslpassword=hunter2"]
    {
        let host = Host::with(&format!("[store]\nurl = '{url}'\n"));
        assert_eq!(host.from("store.url"), ("(hidden)".into(), "longplay.toml".into()));
        assert!(!format!("{:?}", host.load()).contains("hunter2"));
    }
    let open = "postgres:///longplay?host=/run/postgresql";
    assert_eq!(Host::with(&format!("[store]\nurl = '{open}'\n")).from("store.url").0, open);
}
