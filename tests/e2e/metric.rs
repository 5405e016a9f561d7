//! What is shipped for Prometheus and Grafana fits what the daemon exposes: every metric and label that a rule or a
//! panel names is there, counters are used as counters, and the rules' own tests pass.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use longplay::sim::{Effect, Endpoint, Fault, Injection};
use serde_json::Value;

use crate::fixture::{Host, now};

/// What Prometheus adds to every series.
const ADDED: [&str; 2] = ["job", "instance"];
const WORDS: [&str; 13] =
    ["and", "or", "unless", "by", "without", "on", "bool", "sum", "min", "max", "count", "topk", "bottomk"];

fn shipped(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "packaging/prometheus", name].iter().collect()
}

/// The text of the metrics, by name: what they are, and the values of each label.
#[derive(Default)]
struct Exposed {
    kinds: BTreeMap<String, String>,
    series: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Exposed {
    fn read(text: &str) -> Self {
        let mut exposed = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a kind");
                exposed.kinds.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                let (series, _) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                let known = exposed.series.entry(name.to_owned()).or_default();
                for label in labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()) {
                    let (label, value) = label.split_once('=').expect("a label");
                    known.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
                }
            }
        }
        exposed
    }

    fn is_counter(&self, name: &str) -> bool {
        let of = ["_bucket", "_count", "_sum"].iter().find_map(|part| name.strip_suffix(part));
        let kind = |name: &str| self.kinds.get(name).map(String::as_str);
        kind(name) == Some("counter") || of.is_some_and(|name| kind(name) == Some("histogram"))
    }

    /// What is wrong with a query.
    fn faults(&self, query: &str, legend: &str) -> Vec<String> {
        let Query { metrics, grouped } = Query::read(query);
        let mut faults = Vec::new();
        let mut shown: BTreeSet<&str> = ADDED.into();
        for metric in &metrics {
            let name = metric.name.as_str();
            if name == "up" {
                continue;
            }
            let Some(labels) = self.series.get(name) else {
                faults.push(format!("no {name}"));
                continue;
            };
            shown.extend(labels.keys().map(String::as_str));
            for (label, equals, value) in &metric.matchers {
                if ADDED.contains(&label.as_str()) {
                    continue;
                }
                match labels.get(label) {
                    None => faults.push(format!("{name} has no label {label}")),
                    Some(values) if *equals && !values.contains(value) => {
                        faults.push(format!("{name} has no {label}=\"{value}\""));
                    }
                    Some(_) => {}
                }
            }
            let over_time = matches!(metric.inside.as_str(), "rate" | "increase");
            if over_time != self.is_counter(name) {
                faults.push(format!("{name} in {}()", metric.inside));
            }
        }
        if metrics.is_empty() {
            faults.push("it asks for nothing".to_owned());
        }
        let missing = |label: &&String| !shown.contains(label.as_str());
        faults.extend(grouped.iter().filter(missing).map(|label| format!("by {label}, which nothing has")));
        for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            let by = grouped.is_empty() || grouped.contains(label);
            if !by || !shown.contains(label) {
                faults.push(format!("the legend shows {label}, which is not there"));
            }
        }
        faults
    }
}

struct Metric {
    name: String,
    /// The function around it.
    inside: String,
    /// Label, whether it is to equal, value.
    matchers: Vec<(String, bool, String)>,
}

/// What a query of PromQL names.
#[derive(Default)]
struct Query {
    metrics: Vec<Metric>,
    grouped: BTreeSet<String>,
}

impl Query {
    fn read(text: &str) -> Self {
        let tokens = tokens(text);
        let is_name = |token: &str| token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let (mut query, mut around, mut at) = (Self::default(), Vec::new(), 0);
        let next = |at: usize| tokens.get(at + 1).map_or("", String::as_str);
        while at < tokens.len() {
            let token = tokens[at].as_str();
            match token {
                "(" => around.push(String::new()),
                ")" => drop(around.pop()),
                "by" | "without" | "on" => {
                    let end = tokens[at..].iter().position(|token| token == ")").expect("labels in brackets");
                    let labels = tokens[at + 2..at + end].iter().filter(|label| *label != ",");
                    query.grouped.extend(labels.cloned());
                    at += end;
                }
                name if is_name(name) && next(at) == "(" && !WORDS.contains(&name) => {
                    around.push(name.to_owned());
                    at += 1;
                }
                name if is_name(name) && !WORDS.contains(&name) => {
                    let mut matchers = Vec::new();
                    if next(at) == "{" {
                        let end = tokens[at..].iter().position(|token| token == "}").expect("an end");
                        for matcher in tokens[at + 2..at + end].split(|token| token == ",") {
                            let [label, operator, value] = matcher else { panic!("{text}: {matcher:?}") };
                            matchers.push((
                                label.clone(),
                                operator == "=",
                                value.trim_matches('"').to_owned(),
                            ));
                        }
                        at += end;
                    }
                    let inside = around.last().cloned().unwrap_or_default();
                    query.metrics.push(Metric { name: name.to_owned(), inside, matchers });
                }
                _ => {}
            }
            at += 1;
        }
        query
    }
}

/// Names, strings, operators; of ranges and numbers only what can't be taken for a name.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let word = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '$' | '.');
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let end = match chars[at] {
            c if c.is_whitespace() => at + 1,
            '"' => at + 2 + chars[at + 1..].iter().position(|c| *c == '"').expect("a string's end"),
            '[' => at + 1 + chars[at..].iter().position(|c| *c == ']').expect("a range's end"),
            c if word(&c) => at + chars[at..].iter().position(|c| !word(c)).unwrap_or(chars.len() - at),
            '=' | '!' | '<' | '>' => at + chars[at..].iter().position(|c| !"=!<>~".contains(*c)).unwrap_or(1),
            _ => at + 1,
        };
        let token: String = chars[at..end].iter().collect();
        let skipped = token.trim().is_empty() || token.starts_with('[');
        tokens.extend((!skipped).then_some(token));
        at = end;
    }
    tokens
}

/// The alerts' queries, by name.
fn rules() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(shipped("longplay.rules.yml")).expect("the rules");
    let (mut rules, mut name): (Vec<(String, String)>, _) = (Vec::new(), String::new());
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = text.lines().collect();
    for (n, line) in lines.iter().enumerate() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            alert.clone_into(&mut name);
        }
        match line.trim().strip_prefix("expr: ") {
            None => {}
            Some(">-") => {
                let more = lines[n + 1..].iter().take_while(|more| indent(more) > indent(line));
                rules.push((name.clone(), more.map(|line| line.trim()).collect::<Vec<_>>().join(" ")));
            }
            Some(query) => rules.push((name.clone(), query.to_owned())),
        }
    }
    rules
}

/// Every query of the dashboard with its legend, by panel.
fn panels() -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(shipped("longplay-dashboard.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (mut queries, mut ids) = (Vec::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].to_string()), "two panels have one id");
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((text(&panel["title"]), text(&target["expr"]), text(&target["legendFormat"])));
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().expect("annotations") {
        queries.push((text(&annotation["name"]), text(&annotation["expr"]), String::new()));
    }
    let variable = text(&dashboard["templating"]["list"][1]["query"]);
    let of = variable.strip_prefix("label_values(").and_then(|rest| rest.split(',').next());
    queries.push(("$instance".to_owned(), of.expect("a metric").to_owned(), String::new()));
    queries
}

#[test]
fn every_metric_and_label_of_the_rules_and_the_dashboard_is_exposed() {
    let host = Host::new();
    host.spotify.listen_until("alice", 3, now());
    let _daemon = host.serve();
    host.settled_user("alice");
    // With a login whose end is known.
    let mut login = host.talk(&["login", "alice", "--paste"]);
    let address = host.open_in_browser(&login.line());
    login.answer(&address).ok();
    let exposed = Exposed::read(&host.get("/metrics").text);
    let (rules, panels) = (rules(), panels());
    assert!(rules.len() >= 13 && panels.len() >= 25, "{} {}", rules.len(), panels.len());
    let mut faults = Vec::new();
    for (name, query) in &rules {
        faults.extend(exposed.faults(query, "").into_iter().map(|fault| format!("rule {name}: {fault}")));
    }
    for (title, query, legend) in &panels {
        let found = exposed.faults(query, legend);
        faults.extend(found.into_iter().map(|fault| format!("panel {title}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // And back: nothing is exposed without a help text, and the first three names have no prefix.
    let first =
        ["token_refresh_success_total", "token_refresh_failure_total", "token_time_until_expiry_seconds"];
    let text = host.get("/metrics").text;
    for name in exposed.kinds.keys() {
        assert!(first.contains(&name.as_str()) || name.starts_with("longplay_"), "{name}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
    first.iter().for_each(|name| assert!(exposed.kinds.contains_key(*name), "{name}"));
}

#[test]
fn a_query_that_does_not_fit_is_seen() {
    let exposed = Exposed::read(
        "# TYPE a_total counter\na_total{kind=\"x\"} 1\n# TYPE b gauge\nb 2\n# TYPE h histogram\n\
         h_bucket{le=\"300\"} 1\nh_count 1\n",
    );
    for (query, legend, fault) in [
        ("sum by (kind) (rate(a_total{kind=\"x\", instance=~\"$i\"}[5m])) / 2 > 0.1", "{{kind}}", None),
        ("rate(h_bucket{le=\"300\"}[1h]) / rate(h_count[1h]) and b >= 3", "{{le}}", None),
        ("b", "{{instance}}", None),
        ("rate(c_total[5m])", "", Some("no c_total")),
        ("rate(a_total{sort=\"x\"}[5m])", "", Some("no label sort")),
        ("rate(a_total{kind=\"y\"}[5m])", "", Some("no kind=\"y\"")),
        ("rate(h_bucket{le=\"301\"}[5m])", "", Some("no le=\"301\"")),
        ("sum by (sort) (rate(a_total[5m]))", "", Some("by sort")),
        ("sum(rate(b[5m]))", "", Some("b in rate()")),
        ("sum(a_total)", "", Some("a_total in ()")),
        ("b", "{{kind}}", Some("the legend shows kind")),
        ("sum by (instance) (rate(a_total[5m]))", "{{kind}}", Some("the legend shows kind")),
        ("1 + 2", "", Some("asks for nothing")),
    ] {
        let faults = exposed.faults(query, legend).join("; ");
        match fault {
            None => assert_eq!(faults, "", "{query}"),
            Some(fault) => assert!(faults.contains(fault), "{query}: {faults}"),
        }
    }
}

#[test]
fn a_refresh_in_doubt_is_counted_until_an_answer_ends_it_over_a_restart_too() {
    let host = Host::new();
    let daemon = host.serve();
    host.settled_user("alice");
    let in_doubt = || host.metric("longplay_refreshes_in_doubt");
    assert_eq!(in_doubt(), 0.0);
    let lost = Injection::new(Endpoint::Token, Fault::before(Effect::Drop));
    host.spotify.inject(lost.until_cleared());
    host.token("alice", "{\"fresh\":true}");
    host.until("it is counted", || in_doubt() == 1.0);
    daemon.kill();
    let _daemon = host.serve();
    host.until("it is still counted", || in_doubt() == 1.0);
    host.spotify.clear_faults();
    host.until("an answer ends it", || host.token("alice", "{\"fresh\":true}").status == 200);
    assert_eq!(in_doubt(), 0.0);
}

#[test]
fn the_alerts_pass_their_own_tests() {
    for args in [["check", "rules", "longplay.rules.yml"], ["test", "rules", "longplay_test.yml"]] {
        let ran = Command::new("promtool").args(args).current_dir(shipped("")).output();
        let ran = ran.unwrap_or_else(|error| {
            panic!("promtool: {error}; run tests/run, which installs it (Debian: apt-get install prometheus)")
        });
        let said =
            format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "promtool {}:\n{said}", args.join(" "));
    }
    // Every alert is in some test, so that none is shipped that was never seen to fire.
    let tests = std::fs::read_to_string(shipped("longplay_test.yml")).expect("the tests");
    for (name, _) in rules() {
        assert!(tests.contains(&name), "{name} is not tested");
    }
}
