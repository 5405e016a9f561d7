use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::config::TokenKey;
use uuid::Uuid;

fn spool(folder: &Path) -> FileSpool {
    let vault = Vault::new(Uuid::nil(), &TokenKey::new([7; 32]), None);
    FileSpool::new(folder.to_owned(), Arc::new(vault), Arc::new(Random::seeded(1)))
}

fn answer(sent: i64, status: u16, body: &[u8]) -> Kept {
    let at = Timestamp::from_millis(1);
    Kept {
        user: UserId(4),
        epoch: Epoch(1),
        sent: Generation(sent),
        refresh_token: RefreshToken::from("AQsent".to_owned()),
        attempt: AttemptId(Uuid::from_u128(sent.unsigned_abs().into())),
        cause: Cause::Expiry,
        sent_at: at,
        received_at: at,
        answer: RawAnswer { status, retry_after: None, date: None, body: body.to_vec().into() },
    }
}

async fn contents(spool: &FileSpool) -> (Vec<(i64, u16)>, Vec<String>) {
    let (kept, faults) = spool.kept_of(UserId(4)).await.unwrap();
    (kept.iter().map(|k| (k.sent.0, k.answer.status)).collect(), faults)
}

#[tokio::test]
async fn the_newest_answer_is_kept_and_a_failure_never_replaces_the_last_success() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path());
    spool.prepare(UserId(4)).await.unwrap();
    assert_eq!(contents(&spool).await, (vec![], vec![]));
    for (sent, status, expected) in [
        (1, 200, vec![(1, 200)]),
        (2, 200, vec![(2, 200), (1, 200)]),
        (3, 503, vec![(3, 503), (2, 200)]),
        (4, 503, vec![(4, 503), (2, 200)]),
        (5, 200, vec![(5, 200), (2, 200)]),
    ] {
        spool.keep(&answer(sent, status, b"{}")).await.unwrap();
        assert_eq!(contents(&spool).await, (expected, vec![]));
    }
    spool.forget(UserId(4)).await.unwrap();
    spool.forget(UserId(4)).await.unwrap();
    assert_eq!(contents(&spool).await, (vec![], vec![]));
}

#[tokio::test]
async fn a_spool_in_memory_keeps_what_the_files_keep_and_outlives_who_works_on_it() {
    let (folder, memory) = (tempfile::tempdir().unwrap(), SpoolFiles::default());
    let files = spool(folder.path());
    let in_memory =
        || MemorySpool::new(Arc::clone(&memory), Arc::clone(&files.vault), Arc::clone(&files.random));
    let user = UserId(4);
    for (sent, status) in [(1, 200), (2, 503), (3, 200), (4, 503), (5, 503)] {
        let body = vec![b'x'; if sent == 3 { 20_000 } else { 9 }];
        files.keep(&answer(sent, status, &body)).await.unwrap();
        in_memory().keep(&answer(sent, status, &body)).await.unwrap();
        let kept = async |spool: &dyn Spool| {
            let (kept, faults) = spool.kept_of(user).await.unwrap();
            let kept: Vec<_> =
                kept.iter().map(|k| (k.sent, k.answer.status, k.answer.body.to_vec())).collect();
            (kept, faults, spool.glance(&[user]).await.unwrap(), spool.users().await.unwrap())
        };
        assert_eq!(kept(&in_memory()).await, kept(&files).await);
    }
    in_memory().forget(user).await.unwrap();
    assert_eq!(in_memory().users().await.unwrap(), []);
}

#[tokio::test]
async fn a_failure_that_claims_to_be_a_success_does_not_cost_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path());
    spool.keep(&answer(1, 200, b"{}")).await.unwrap();
    spool.keep(&answer(2, 503, b"{}")).await.unwrap();
    let next = async {
        spool.keep(&answer(3, 503, b"{}")).await.unwrap();
        contents(&spool).await
    };
    let (kept, faults) = flipped(folder.path(), SECOND + SUCCESS, next).await;
    assert_eq!((kept, faults), (vec![(3, 503), (1, 200)], vec![]));
}

#[tokio::test]
async fn an_answer_sealed_with_a_key_that_is_away_is_not_taken_for_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let with_key = |byte| {
        let vault = Vault::new(Uuid::nil(), &TokenKey::new([byte; 32]), None);
        FileSpool::new(folder.path().to_owned(), Arc::new(vault), Arc::new(Random::seeded(1)))
    };
    let (old, new) = (with_key(7), with_key(8));
    old.keep(&answer(1, 200, b"{}")).await.unwrap();
    old.keep(&answer(2, 503, b"{}")).await.unwrap();
    new.keep(&answer(3, 503, b"{}")).await.unwrap();
    assert_eq!(contents(&old).await.0, [(1, 200)]);
    let (kept, faults) = contents(&new).await;
    assert!(kept == [(3, 503)] && faults[0].contains("another token key"), "{faults:?}");
}

/// With this key in use, and the other to open what is older.
fn with_keys(folder: &Path, key: u8, old: u8) -> FileSpool {
    let (key, old) = (TokenKey::new([key; 32]), TokenKey::new([old; 32]));
    let vault = Vault::new(Uuid::nil(), &key, Some(&old));
    FileSpool::new(folder.to_owned(), Arc::new(vault), Arc::new(Random::seeded(1)))
}

#[tokio::test]
async fn what_is_sealed_anew_is_read_with_the_new_key_alone_and_what_no_key_opens_stays() {
    let folder = tempfile::tempdir().unwrap();
    with_keys(folder.path(), 9, 9).keep(&answer(1, 200, b"{}")).await.unwrap();
    let old = with_keys(folder.path(), 7, 9);
    old.keep(&answer(2, 503, b"{}")).await.unwrap();
    let between = with_keys(folder.path(), 8, 7);
    assert!(between.reseal(UserId(4)).await.unwrap());
    assert!(!between.reseal(UserId(5)).await.unwrap(), "who has no file");
    assert_eq!(contents(&with_keys(folder.path(), 8, 8)).await.0, [(2, 503)]);
    let all = with_keys(folder.path(), 8, 9);
    assert_eq!(contents(&all).await, (vec![(2, 503), (1, 200)], vec![]));
    assert!(all.reseal(UserId(4)).await.unwrap());
    assert!(!all.reseal(UserId(4)).await.unwrap(), "nothing is left to seal");
    assert_eq!(contents(&with_keys(folder.path(), 8, 8)).await, (vec![(2, 503), (1, 200)], vec![]));
}

#[tokio::test]
async fn a_cut_file_is_still_known_to_be_cut_after_it_was_sealed_anew() {
    let folder = tempfile::tempdir().unwrap();
    let old = with_keys(folder.path(), 7, 7);
    old.keep(&answer(1, 200, b"{}")).await.unwrap();
    old.keep(&answer(2, 200, b"{}")).await.unwrap();
    let file = OpenOptions::new().write(true).open(folder.path().join("4")).unwrap();
    file.set_len(4096).unwrap();
    let new = with_keys(folder.path(), 8, 7);
    let told = contents(&new).await;
    assert_eq!((told.0.len(), told.1.len()), (1, 1), "{told:?}");
    assert!(new.reseal(UserId(4)).await.unwrap());
    assert_eq!(contents(&new).await, told);
}

#[tokio::test]
async fn where_no_room_can_be_reserved_it_is_written_and_costs_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path());
    spool.keep(&answer(1, 200, b"{}")).await.unwrap();
    let file = OpenOptions::new().read(true).write(true).open(folder.path().join("4")).unwrap();
    assert!(!has_room(&file.metadata().unwrap()));
    for _ in 0..2 {
        fill(&file).unwrap();
        assert_eq!(file.metadata().unwrap().len(), PREALLOCATED);
        assert_eq!(contents(&spool).await, (vec![(1, 200)], vec![]));
    }
    spool.keep(&answer(2, 200, &[b'x'; 64 * 1024])).await.unwrap();
    fill(&file).unwrap();
    assert_eq!(contents(&spool).await, (vec![(2, 200), (1, 200)], vec![]));
}

#[tokio::test]
async fn the_longest_answer_fits() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path());
    let body = vec![b'x'; 64 * 1024];
    spool.keep(&answer(1, 200, &body)).await.unwrap();
    spool.keep(&answer(2, 200, &body)).await.unwrap();
    let (kept, faults) = spool.kept_of(UserId(4)).await.unwrap();
    assert_eq!((kept.len(), faults.len()), (2, 0));
    assert_eq!(kept[0].answer.body.as_slice(), body);
}

/// Changes a bit of user 4's file for as long as `look` takes.
async fn flipped<T>(folder: &Path, offset: u64, look: impl Future<Output = T>) -> T {
    let file = OpenOptions::new().write(true).read(true).open(folder.join("4")).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
    let seen = look.await;
    file.write_all_at(&byte, offset).unwrap();
    seen
}

/// Where the second slot begins; in it: whether the status was 200, the end of what is in the clear, the sealed answer.
const SECOND: u64 = 8 * 1024;
const SUCCESS: u64 = 48;
const CLEAR: u64 = 53;
const ANSWER: u64 = CLEAR + 49;

#[tokio::test]
async fn a_flipped_bit_or_a_cut_file_is_said_and_the_other_slot_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path());
    spool.keep(&answer(1, 200, b"{}")).await.unwrap();
    spool.keep(&answer(2, 200, b"{}")).await.unwrap();
    for offset in (0..CLEAR).chain([ANSWER, ANSWER + 9, ANSWER + 60]) {
        let (kept, faults) = flipped(folder.path(), SECOND + offset, contents(&spool)).await;
        assert_eq!((kept, faults.len()), (vec![(1, 200)], 1), "offset {offset}");
    }
    let file = OpenOptions::new().write(true).open(folder.path().join("4")).unwrap();
    for length in [SECOND + ANSWER + 40, SECOND + ANSWER, SECOND + 60, SECOND + 20, SECOND, SECOND / 2] {
        file.set_len(length).unwrap();
        let (kept, faults) = contents(&spool).await;
        assert_eq!((kept, faults.len()), (vec![(1, 200)], 1), "{length} bytes");
        let sound = spool.glance(&[UserId(4)]).await.unwrap()[0].sound;
        assert_eq!(sound, length >= SECOND + ANSWER, "{length} bytes: its head is all that is looked at");
    }
    for length in [ANSWER + 40, CLEAR, 1] {
        file.set_len(length).unwrap();
        let (kept, faults) = contents(&spool).await;
        assert_eq!((kept, faults.len()), (vec![], 2), "{length} bytes");
    }
    // What comes next makes it whole.
    spool.keep(&answer(3, 200, b"{}")).await.unwrap();
    spool.keep(&answer(4, 200, b"{}")).await.unwrap();
    assert_eq!(contents(&spool).await, (vec![(4, 200), (3, 200)], vec![]));
}

#[tokio::test]
async fn an_answer_that_nothing_was_preallocated_for_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path());
    // As it is left by an end between its making and its preallocation.
    std::fs::write(folder.path().join("4"), "").unwrap();
    assert_eq!(contents(&spool).await, (vec![], vec![]));
    spool.keep(&answer(1, 200, b"{}")).await.unwrap();
    assert_eq!(contents(&spool).await, (vec![(1, 200)], vec![]));
}

#[tokio::test]
async fn a_glance_tells_of_all_that_is_kept_and_believes_no_altered_head() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path());
    let sound = |heads| Glance { user: UserId(4), heads, sound: true };
    assert_eq!(spool.glance(&[UserId(4)]).await.unwrap(), [sound(vec![])], "no file");
    spool.prepare(UserId(4)).await.unwrap();
    assert_eq!(spool.glance(&[UserId(4)]).await.unwrap(), [sound(vec![])], "an empty one");
    spool.keep(&answer(1, 200, b"{}")).await.unwrap();
    spool.keep(&Kept { epoch: Epoch(2), ..answer(7, 503, &[b'x'; 64 * 1024]) }).await.unwrap();
    let (kept, _) = spool.kept_of(UserId(4)).await.unwrap();
    let heads: Vec<Head> = kept.iter().map(Kept::head).collect();
    assert_eq!((heads.len(), heads[0].sent, heads[0].epoch), (2, Generation(7), Epoch(2)));
    assert_eq!(spool.glance(&[UserId(4)]).await.unwrap(), [sound(heads.clone())]);
    for offset in 0..ANSWER {
        let seen = flipped(folder.path(), SECOND + offset, spool.glance(&[UserId(4)])).await.unwrap();
        let expected = Glance { user: UserId(4), heads: vec![heads[1]], sound: false };
        assert_eq!(seen, [expected], "offset {offset}");
    }
    let seal = flipped(folder.path(), SECOND + CLEAR + 40, contents(&spool)).await;
    assert_eq!(seal, (vec![(7, 503), (1, 200)], vec![]), "the answer's own seal is enough");
}

#[tokio::test]
async fn an_answer_under_another_key_than_its_head_is_sealed_anew_too() {
    let folder = tempfile::tempdir().unwrap();
    let (old, key) = (TokenKey::new([7; 32]), TokenKey::new([8; 32]));
    let with = |old: Option<&TokenKey>, key| {
        let vault = Vault::new(Uuid::nil(), key, old);
        FileSpool::new(folder.path().to_owned(), Arc::new(vault), Arc::new(Random::seeded(1)))
    };
    let (before, between, after) = (with(None, &old), with(Some(&old), &key), with(None, &key));
    before.keep(&answer(1, 200, b"{}")).await.unwrap();
    let path = folder.path().join("4");
    let half = std::fs::read(&path).unwrap();
    assert!(between.reseal(UserId(4)).await.unwrap());
    let mut whole = std::fs::read(&path).unwrap();
    // The head under the new key, the answer under the old one.
    let head = usize::try_from(ANSWER).unwrap();
    whole[head..].copy_from_slice(&half[head..]);
    std::fs::write(&path, whole).unwrap();
    assert_eq!(contents(&between).await, (vec![(1, 200)], vec![]));
    assert!(between.reseal(UserId(4)).await.unwrap());
    assert_eq!(contents(&after).await, (vec![(1, 200)], vec![]));
    assert!(!between.reseal(UserId(4)).await.unwrap());
}

#[tokio::test]
async fn somebody_elses_file_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path());
    spool.keep(&answer(1, 200, b"{}")).await.unwrap();
    std::fs::copy(folder.path().join("4"), folder.path().join("5")).unwrap();
    let (kept, faults) = spool.kept_of(UserId(5)).await.unwrap();
    assert_eq!((kept.len(), faults.len()), (0, 1), "{faults:?}");
    let expected = Glance { user: UserId(5), heads: vec![], sound: false };
    assert_eq!(spool.glance(&[UserId(5)]).await.unwrap(), [expected]);
}

#[tokio::test]
async fn a_glance_at_many_comes_in_their_order_and_a_file_that_cannot_be_read_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path());
    let numbers = || (1..=20).map(UserId);
    for user in numbers().rev().filter(|user| user.0 != 7) {
        spool.keep(&Kept { user, ..answer(user.0, 200, b"{}") }).await.unwrap();
    }
    // A folder opens like a file, and can't be read.
    std::fs::create_dir(folder.path().join("7")).unwrap();
    std::fs::write(folder.path().join("notes"), "no user's").unwrap();
    let users = spool.users().await.unwrap();
    assert!(users.iter().copied().eq(numbers()), "{users:?}");
    for glance in spool.glance(&users).await.unwrap() {
        let heads: Vec<Generation> = glance.heads.iter().map(|head| head.sent).collect();
        let expected = if glance.user == UserId(7) { vec![] } else { vec![Generation(glance.user.0)] };
        assert_eq!((heads, glance.sound), (expected, glance.user != UserId(7)));
    }
    let (kept, faults) = spool.kept_of(UserId(7)).await.unwrap();
    assert!(kept.is_empty() && faults.iter().all(|fault| fault.contains("/7: ")), "{faults:?}");
    assert!(!faults.is_empty());
}

#[tokio::test]
async fn no_token_is_readable_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path());
    spool.keep(&answer(1, 200, b"AQsecretAQsecret")).await.unwrap();
    let bytes = std::fs::read(folder.path().join("4")).unwrap();
    let encoded = STANDARD.encode(b"AQsecretAQsecret");
    assert!(!bytes.windows(8).any(|w| w == b"AQsecret"));
    assert!(!bytes.windows(encoded.len()).any(|w| w == encoded.as_bytes()));
}
