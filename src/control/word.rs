//! The words that a problem's type ends with: what programs branch on.

use utoipa::ToSchema;

macro_rules! words {
    ($($(#[$doc:meta])* $word:ident = $text:tt,)*) => {
        /// What a problem is, in a word: its type is `urn:longplay:` and this.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
        pub enum Word {
            $($(#[$doc])* #[schema(rename = $text)] $word,)*
        }

        impl Word {
            /// As it is written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)*
                }
            }

            /// Back from there; `None`: a newer longplay's.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$word),)*
                    _ => None,
                }
            }
        }
    };
}
words! {
    /// Nobody has this name.
    UnknownUser = "unknown_user",
    /// Nobody has begun an import of this number, or it is over.
    UnknownImport = "unknown_import",
    /// The user must log in.
    NeedsLogin = "needs_login",
    /// The app is set up wrongly, or Spotify refuses it or the user.
    Blocked = "blocked",
    /// The user is paused.
    Paused = "paused",
    /// Spotify answers 401 to a fresh token too.
    FreshRejected = "fresh_rejected",
    /// An outage or a rate limit: worth asking again.
    Waiting = "waiting",
    /// A refresh has an unknown outcome: worth asking again.
    InDoubt = "in_doubt",
    /// No token is valid for so long.
    ValidForTooLong = "valid_for_too_long",
    /// A file declares the user, and the file wins.
    FileUser = "file_user",
    /// There is such a user or login already.
    Exists = "exists",
    /// The login is of another account than the user's.
    OtherAccount = "other_account",
    /// The login was refused: here, by the user, or by Spotify.
    Refused = "refused",
    /// What was asked makes no sense.
    BadRequest = "bad_request",
    /// The request is too large.
    TooLarge = "too_large",
    /// The request did not come in time.
    Timeout = "timeout",
    /// There is no such route.
    NotFound = "not_found",
    /// The route takes another method.
    MethodNotAllowed = "method_not_allowed",
    /// The page is not reached under this host name.
    Misdirected = "misdirected",
    /// The configuration is faulty, or lacks what is asked for.
    Configuration = "configuration",
    /// The store can't be read or written: worth asking again.
    Store = "store",
    /// Longplay is: ask again when it is back.
    Stopping = "stopping",
    /// Of longplay's own.
    Fault = "fault",
}
