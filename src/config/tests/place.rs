//! Where the configuration, the state and the socket are, and for whom.

use super::*;

#[test]
fn a_user_of_the_host_has_the_xdg_paths() {
    let mut host = Host::new();
    host.place.root = false;
    let home = host.path("home");
    let host = host
        .env("HOME", &home.display().to_string())
        .file("home/.config/longplay/longplay.toml", "[log]\nlevel = 'debug'\n");
    let settings = host.load();
    assert_eq!(settings.log.level, "debug");
    assert_eq!(settings.store.state_dir, home.join(".local/state/longplay"));
    assert_eq!(settings.control.socket, home.join(".local/state/longplay/control.sock"));

    let host = host
        .env("XDG_CONFIG_HOME", "relative, therefore ignored")
        .env("XDG_STATE_HOME", "/s")
        .env("XDG_RUNTIME_DIR", "/run/user/1");
    let settings = host.load();
    assert_eq!(settings.log.level, "debug");
    assert_eq!(settings.store.state_dir, PathBuf::from("/s/longplay"));
    assert_eq!(settings.control.socket, PathBuf::from("/run/user/1/longplay/control.sock"));

    // Root never has them, nor does anyone where the system has its own file.
    let mut host = host;
    host.place.root = true;
    assert_eq!(host.load().store.state_dir, PathBuf::from("/var/lib/longplay"));
    host.place.root = false;
    let settings = host.file("longplay.toml", "").load();
    assert_eq!((settings.log.level.as_str(), settings.store.state_dir), ("info", "/var/lib/longplay".into()));
}

#[test]
fn systemd_names_the_folders_of_a_service() {
    let mut host = Host::new();
    host.place.root = false;
    let settings = host
        .env("HOME", "/home/alice")
        .env("STATE_DIRECTORY", "/var/lib/private/longplay:/var/lib/other")
        .env("RUNTIME_DIRECTORY", "/run/lp")
        .load();
    assert_eq!(settings.store.state_dir, PathBuf::from("/var/lib/private/longplay"));
    assert_eq!(settings.store.url.expose_secret(), "sqlite:///var/lib/private/longplay/longplay.db");
    assert_eq!(settings.control.socket, PathBuf::from("/run/lp/control.sock"));
}

#[test]
fn a_socket_path_has_to_fit_into_a_socket_address() {
    let long = format!("/{}", "x".repeat(107));
    let faults = Host::with(&format!("[control]\nsocket = '{long}'\n")).faults().concat();
    assert!(
        faults.contains("control.socket: got a path of 108 bytes; accepted: a path of at most 107"),
        "{faults}"
    );
    Host::with(&format!("[control]\nsocket = '{}'\n", &long[1..].replacen('x', "/", 1))).load();
}

#[test]
fn a_config_file_that_is_named_has_to_be_there() {
    let mut host = Host::new();
    host.place.config = Some(host.path("other.toml"));
    let fault = "other.toml: got no such file; accepted: --config with a file that exists";
    assert_eq!(host.faults(), [fault]);
    assert_eq!(load_control(&host.place).unwrap_err().0.len(), 1);
    let host =
        host.file("other.toml", "[log]\nlevel = 'warn'\n").file("longplay.toml", "[log]\nlevel = 'error'\n");
    assert_eq!(host.load().log.level, "warn");
}

#[test]
fn a_command_finds_the_daemon_whatever_else_is_wrong() {
    let host = Host::with(
        "[store]\nstate_dir = 's'\nurl_file = 'nowhere'\nx = 1\n[control]\nsocket = 'c'\ny = 1\n[apps.X]\n[z]\n",
    )
    .file("conf.d/1.toml", "is not TOML");
    let found = load_control(&host.place).unwrap();
    assert_eq!(found, ControlSettings { socket: host.path("c"), state_dir: host.path("s") });

    let host = host.file("longplay.toml", "is not TOML");
    assert_eq!(load_control(&host.place).unwrap().socket, PathBuf::from("/run/longplay/control.sock"));
    let host = host.file("longplay.toml", "[control]\nsocket = 1\n");
    assert_eq!(load_control(&host.place).unwrap_err().0[0].key, "control.socket");
}

#[test]
fn what_may_not_be_read_is_a_fault_for_the_daemon_and_a_default_for_a_command() {
    let host = Host::with("[control]\nsocket = '/elsewhere'\n");
    // A folder can't be read as a file by anyone, root included.
    let main = host.path("longplay.toml");
    fs::remove_file(&main).unwrap();
    fs::create_dir(&main).unwrap();
    fs::set_permissions(&main, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(host.faults()[0].starts_with("longplay.toml: got "), "{:?}", host.faults());
    assert_eq!(load_control(&host.place).unwrap().socket, PathBuf::from("/run/longplay/control.sock"));
}
