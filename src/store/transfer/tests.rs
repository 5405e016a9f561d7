//! Copies between all pairs of databases, with rows in every table that there is; and back-ups.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::super::postgres::tests::server;
use super::manner::sealed;
use super::*;
use crate::clock::SimulatedClock;
use crate::store::conformance::{HERE, START, first_login, intent, new_user, sealed as bytes, tokens};
use crate::store::{CommitIf, Custody as _, ExportStore as _, GrantStore as _, Store as _, StoreError};

/// A store that is there as long as this is.
struct Place {
    url: String,
    store: SqlStore,
    _folder: Option<tempfile::TempDir>,
}

fn at(url: &str) -> SqlStore {
    super::super::url::sql(url, Arc::new(SimulatedClock::new(START))).unwrap()
}

fn sqlite() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("longplay.db").display());
    Place { store: at(&url), url, _folder: Some(folder) }
}

fn postgres() -> Place {
    let url = server::shared().database();
    Place { store: at(&url), url, _folder: None }
}

type Made = fn() -> Place;
const PAIRS: [(Made, Made); 4] =
    [(sqlite, postgres), (postgres, sqlite), (sqlite, sqlite), (postgres, postgres)];

/// Seals that can be read: whose it is stands in front.
struct Plain;

impl Seals for Plain {
    fn open(&self, whose: Whose, _: Seal<'_>, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        let mark: &[u8] = if whose == Whose::Source { b"source " } else { b"target " };
        sealed.0.strip_prefix(mark).map(|text| Zeroizing::new(text.to_vec()))
    }
    fn seal(&self, _: Seal<'_>, text: &[u8]) -> Sealed {
        Sealed([b"target ", text].concat())
    }
}

/// The same, but that what arrives is another text.
struct Wrong;

impl Seals for Wrong {
    fn open(&self, whose: Whose, seal: Seal<'_>, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        Plain.open(whose, seal, sealed)
    }
    fn seal(&self, _: Seal<'_>, _: &[u8]) -> Sealed {
        Sealed(b"target another".to_vec())
    }
}

/// Whoever lacks the key.
struct Closed;

impl Seals for Closed {
    fn open(&self, _: Whose, _: Seal<'_>, _: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
    fn seal(&self, _: Seal<'_>, _: &[u8]) -> Sealed {
        unreachable!("nothing was opened")
    }
}

async fn side(store: &SqlStore) -> Side {
    store.side("looking").await.unwrap()
}

async fn tables(store: &SqlStore) -> Vec<Table> {
    in_order(side(store).await.tables().await.unwrap())
}

async fn rows(store: &SqlStore, table: &Table) -> Vec<Vec<Cell>> {
    let mut side = side(store).await;
    let mut rows: Vec<_> = side.rows(table).try_collect().await.unwrap();
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

/// Something in every column of every table, and nothing in every column that can be null.
async fn fill(store: &SqlStore) {
    let mut side = side(store).await;
    let tables = in_order(side.tables().await.unwrap());
    side.begin_writing().await.unwrap();
    let triggers = side.take_triggers_off(&tables).await.unwrap();
    for table in tables.iter().filter(|table| table.name != "meta") {
        let rows: Vec<_> = (1..=3).map(|n| row(table, n)).collect();
        side.insert(table, &rows).await.unwrap();
    }
    side.put_triggers_back(triggers).await.unwrap();
    let higher = [("".to_owned(), 70), ("users".to_owned(), 40)];
    side.set_counters(&higher).await.unwrap();
    side.commit().await.unwrap();
    store.keep_key_probe(bytes("source probe")).await.unwrap();
}

fn row(table: &Table, n: i64) -> Vec<Cell> {
    let cell = |(name, kind): &(String, Kind)| match (name.as_str(), kind) {
        ("origin", _) => Cell::Text("store".to_owned()),
        ("state", _) if table.name == "imports" => Cell::Text("done".to_owned()),
        ("refresh_token" | "access_token" | "verifier", _) if n < 3 => {
            Cell::Blob(format!("source {name} {n}").into_bytes())
        }
        // SQLite keeps a truth value as a number.
        ("paused" | "active" | "taken" | "short", _) | (_, Kind::Bool) => Cell::Int(n % 2),
        (_, Kind::Int) => Cell::Int(n),
        (_, Kind::Text) => Cell::Text(format!("{name} {n} \t\\N\n\r\"é\u{1f600}\\.")),
        (_, Kind::Blob) => Cell::Blob(vec![u8::try_from(n).unwrap(), 0, 0xff, b'\\']),
    };
    table.columns.iter().map(cell).collect()
}

fn held() -> Held {
    Held::Held("it is being copied to somewhere".to_owned())
}

async fn copy(
    from: &SqlStore,
    to: &str,
    held: &Held,
    seals: &dyn Seals,
) -> std::result::Result<Copied, CopyError> {
    let target = Target::open(to, Arc::new(SimulatedClock::new(START))).await?;
    from.copy_to(&target, held, seals, &|_| {}).await
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_nothing_is_numbered_apart() {
    let (a, b) = (sqlite(), postgres());
    a.store.open().await.unwrap();
    b.store.open().await.unwrap();
    let kind = |kind: &Kind| if *kind == Kind::Bool { Kind::Int } else { *kind };
    let seen = |tables: Vec<Table>| -> BTreeMap<String, Vec<(String, Kind)>> {
        let columns = |t: Table| t.columns.into_iter().map(|(name, k)| (name, kind(&k))).collect();
        tables.into_iter().map(|table| (table.name.clone(), columns(table))).collect()
    };
    let (of_a, of_b) = (seen(tables(&a.store).await), seen(tables(&b.store).await));
    assert_eq!(of_a, of_b, "what one database has and the other has not is not copied");
    assert!(of_a.len() >= 15 && of_a.contains_key("plays"), "{:?}", of_a.keys());
    // A sequence that numbers no table's rows would have to be carried over by name.
    let mut side = side(&b.store).await;
    let strangers =
        "SELECT count(*) FROM pg_catalog.pg_class AS s WHERE relkind = 'S' AND relname <> 'changes'
       AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend WHERE objid = s.oid AND deptype = 'i')";
    assert_eq!(side.number(strangers.to_owned()).await.unwrap(), Some(0));
}

#[tokio::test]
async fn everything_arrives_in_every_pair_of_databases() {
    for (from, to) in PAIRS {
        let (from, to) = (from(), to());
        let deployment = from.store.open().await.unwrap();
        fill(&from.store).await;
        let told = Mutex::new(Vec::new());
        let target = Target::open(&to.url, Arc::new(SimulatedClock::new(START))).await.unwrap();
        let tell = |progress: Progress| told.lock().unwrap().push(progress);
        let copied = from.store.copy_to(&target, &held(), &Plain, &tell).await.unwrap();
        let copied = copied.commit().await.unwrap();
        target.close().await;
        let (here, there) = (tables(&from.store).await, tables(&to.store).await);
        assert_eq!(copied.len(), here.len());
        for (table, other) in
            here.iter().map(|table| (table, there.iter().find(|t| t.name == table.name).unwrap()))
        {
            let done = copied.iter().find(|done| done.name == table.name).unwrap();
            if table.name == "meta" {
                continue;
            }
            assert_eq!(done.rows, 3, "{}", table.name);
            let expected: Vec<_> = rows(&from.store, table)
                .await
                .into_iter()
                .map(|mut row| {
                    for (at, _) in sealed(table, &row.clone()) {
                        if let Cell::Blob(bytes) = &mut row[at]
                            && bytes.starts_with(b"source ")
                        {
                            bytes.splice(..6, *b"target");
                        }
                    }
                    row
                })
                .collect();
            let mut expected = expected;
            expected.sort_by_key(|row| format!("{row:?}"));
            assert_eq!(rows(&to.store, other).await, expected, "{}", table.name);
        }
        assert_eq!(to.store.key_probe().await.unwrap(), Some(bytes("target probe")));
        assert_eq!(to.store.moved_from().await.unwrap(), [deployment]);
        assert_ne!(to.store.open().await.unwrap(), deployment);
        let stands = to.store.whereabouts().await.unwrap();
        assert_eq!((stands.before, stands.fence), (None, None));
        // What was given out is not given out again.
        let user = to.store.put_user(&new_user("zoe")).await.unwrap();
        assert_eq!(user.id, UserId(41), "after the highest that was ever given out");
        let changed = to.store.users_changed(70, 10).await.unwrap();
        assert!(format!("{changed:?}").contains("zoe"), "{changed:?}");
        to.store.remove_user(user.id, true).await.unwrap();
        // And the other way round the triggers are there again.
        assert!(side(&to.store).await.counters().await.unwrap().contains(&(String::new(), 72)));
    }
}

#[tokio::test]
async fn a_store_that_is_not_empty_is_refused_and_left_as_it_is() {
    for (from, to) in PAIRS {
        let (from, to) = (from(), to());
        from.store.open().await.unwrap();
        from.store.put_user(&new_user("alice")).await.unwrap();
        to.store.put_user(&new_user("bob")).await.unwrap();
        let why = copy(&from.store, &to.url, &held(), &Plain).await.err().unwrap().to_string();
        assert!(
            why.contains("is not empty") && why.contains("users") && why.contains("name another"),
            "{why}"
        );
        let users = to.store.users().await.unwrap();
        assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["bob"]);
        to.store.put_user(&new_user("carol")).await.unwrap();
    }
}

#[tokio::test]
async fn a_copy_that_breaks_off_leaves_nothing_and_can_be_made_again() {
    for (from, to) in PAIRS {
        let (from, to) = (from(), to());
        from.store.open().await.unwrap();
        fill(&from.store).await;
        let why = copy(&from.store, &to.url, &held(), &Wrong).await.err().unwrap();
        assert!(matches!(why, CopyError::Differs(_)), "{why}");
        assert!(
            why.to_string().contains("arrived otherwise") && !why.to_string().contains("refresh_token 1"),
            "{why}"
        );
        drop(copy(&from.store, &to.url, &held(), &Plain).await.unwrap());
        assert!(to.store.users().await.unwrap().is_empty());
        assert!(to.store.moved_from().await.unwrap().is_empty());
        copy(&from.store, &to.url, &held(), &Plain).await.unwrap().commit().await.unwrap();
        let first = from.store.open().await.unwrap();
        assert_eq!(to.store.moved_from().await.unwrap(), [first]);
        // And on from there.
        let last = sqlite();
        copy(&to.store, &last.url, &held(), &Closed).await.unwrap().commit().await.unwrap();
        assert_eq!(last.store.moved_from().await.unwrap(), [to.store.open().await.unwrap(), first]);
    }
}

#[tokio::test]
async fn nothing_is_refreshed_in_a_store_while_it_is_held_nor_once_it_was_copied() {
    for place in [sqlite(), postgres()] {
        let store = &place.store;
        let user = store.put_user(&new_user("alice")).await.unwrap().id;
        assert!(store.commit_login(&first_login(user)).await.unwrap());
        let grant = store.grant(user).await.unwrap().unwrap();
        let home = store.whereabouts().await.unwrap().now;
        store.settle(&home).await.unwrap();
        assert!(matches!(store.hold("there").await.unwrap(), Held::Held(_)), "it was accepted");
        let refused = store.begin_attempt(&intent(&grant, 1)).await.unwrap_err();
        assert!(matches!(refused, StoreError::NotAccepted { .. }), "{refused}");
        // A copy that broke off is followed by another.
        assert!(matches!(store.hold("elsewhere").await.unwrap(), Held::Held(_)));
        store.let_go("there", false).await.unwrap();
        assert!(store.begin_attempt(&intent(&grant, 2)).await.is_err(), "it is another one's hold");
        store.let_go("elsewhere", false).await.unwrap();
        assert!(store.begin_attempt(&intent(&grant, 3)).await.unwrap());
        assert_eq!(store.under_way().await.unwrap(), 1);
        let brought = tokens(&intent(&grant, 3));
        assert!(store.commit_tokens(&brought, CommitIf::AttemptHolds).await.unwrap());
        assert_eq!(store.under_way().await.unwrap(), 0);
        // An answer to the last step before the commit may be lost.
        let held = store.hold("there").await.unwrap();
        assert!(store.moved("there", &held, HERE).await.unwrap());
        store.let_go("there", false).await.unwrap();
        let fenced = intent(&store.grant(user).await.unwrap().unwrap(), 6);
        assert!(store.begin_attempt(&fenced).await.is_err(), "another one's copy is not taken back");
        store.let_go("there", true).await.unwrap();
        let again = intent(&store.grant(user).await.unwrap().unwrap(), 6);
        assert!(store.begin_attempt(&again).await.unwrap());
        assert!(store.commit_tokens(&tokens(&again), CommitIf::AttemptHolds).await.unwrap());
        // Whoever accepts it meanwhile goes on with it.
        let held = store.hold("there").await.unwrap();
        store.adopt(&home, HERE).await.unwrap();
        assert!(!store.moved("there", &held, HERE).await.unwrap());
        let held = store.hold("there").await.unwrap();
        assert!(store.moved("there", &held, HERE).await.unwrap());
        let grant = store.grant(user).await.unwrap().unwrap();
        assert!(grant.doubt.is_some());
        let refused = store.begin_attempt(&intent(&grant, 4)).await.unwrap_err();
        assert!(refused.to_string().contains("was copied to there"), "{refused}");
        let other = sqlite();
        let held = store.hold("another").await.unwrap();
        assert!(matches!(held, Held::NotAccepted(_)), "{held:?}");
        copy(store, &other.url, &held, &Plain).await.unwrap().commit().await.unwrap();
        let why = other.store.whereabouts().await.unwrap().fence.unwrap();
        assert!(why.contains("nobody had accepted") && why.contains("copied to there"), "{why}");
        // Who goes back accepts it.
        store.adopt(&home, HERE).await.unwrap();
        assert!(store.begin_attempt(&intent(&grant, 5)).await.unwrap());
    }
}

#[tokio::test]
async fn a_back_up_is_the_same_store_in_a_file() {
    for place in [sqlite(), postgres()] {
        let deployment = place.store.open().await.unwrap();
        fill(&place.store).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("it's a back-up.db");
        let counted = place.store.back_up(&file).await.unwrap();
        let here = tables(&place.store).await;
        assert_eq!(counted.len(), here.len());
        for table in &here {
            let mut sum = Sum::default();
            rows(&place.store, table).await.iter().for_each(|row| sum.add(row));
            let done = counted.iter().find(|done| done.name == table.name).unwrap();
            assert_eq!((done.rows, &done.digest), (sum.rows, &sum.hex()), "{}", table.name);
        }
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        let restored = at(&format!("sqlite://{}", file.display()));
        assert_eq!(restored.open().await.unwrap(), deployment);
        assert_eq!(restored.put_user(&new_user("zoe")).await.unwrap().id, UserId(41));
        assert!(place.store.back_up(&file).await.is_err(), "what is there is not written over");
        assert!(place.store.size().await.unwrap() > 100_000);
        assert!(place.store.moving().is_some());
    }
}
