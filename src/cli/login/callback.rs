//! Where no daemon serves the redirect URI, this command does, for one login (RFC 8252, section 7.3).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use super::{ask_to_open, finish, nobody_came};
use crate::cli::exit::CliError;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Place;
use crate::control::api::{LoginBegun, LoginState, Progress};

/// How long the browser may take to fetch the page that says how it went.
const LAST_PAGE: Duration = Duration::from_secs(2);

/// Waits for the browser, ends the login with the address it came to, and tells it how that went.
pub async fn received(place: &Place, begun: &LoginBegun, patience: Duration) -> Result<LoginState, CliError> {
    let redirect = Redirect::of(begun)?;
    let listener = TcpListener::bind(redirect.listen).await.map_err(|e| {
        CliError::failed(format!(
            "listening on {}, where the browser comes back: {e}: use --paste",
            redirect.listen
        ))
    })?;
    ask_to_open(begun)?;
    answered(listener, redirect, patience, |address| finish(place, address)).await
}

async fn answered<F>(
    listener: TcpListener,
    redirect: Redirect,
    patience: Duration,
    finish: impl FnOnce(String) -> F,
) -> Result<LoginState, CliError>
where
    F: Future<Output = Result<LoginState, CliError>>,
{
    let (visits, mut arrivals) = mpsc::channel::<Visit>(1);
    let (stop, stopped) = oneshot::channel::<()>();
    let router = Router::new().fallback(visit).with_state((redirect, visits));
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        // Dropped is stopped too.
        let _ = stopped.await;
    });
    let server = tokio::spawn(async move { server.await });
    let visit = tokio::select! {
        visit = arrivals.recv() => visit,
        () = SystemClock.sleep(patience) => None,
    };
    let Some((address, page)) = visit else {
        server.abort();
        return Err(nobody_came());
    };
    let outcome = finish(address).await;
    let (title, message) = match &outcome {
        Ok(state) if state.progress == Progress::Done => ("Logged in", state.message.clone()),
        Ok(state) => ("Not logged in", state.message.clone()),
        Err(error) => ("Not logged in", error.lines.join(" ")),
    };
    // A browser that went away misses only the page.
    let _ = page.send(html(title, &message));
    let _ = stop.send(());
    tokio::select! {
        _ = server => {}
        () = SystemClock.sleep(LAST_PAGE) => {}
    }
    outcome
}

/// Where the browser comes back to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Redirect {
    uri: Url,
    listen: SocketAddr,
    state: String,
}

impl Redirect {
    fn of(begun: &LoginBegun) -> Result<Self, CliError> {
        let given = &begun.redirect_uri;
        let refused = || {
            CliError::failed(format!(
                "the browser comes back to {given}, which is not served here: use --paste"
            ))
        };
        let uri = Url::parse(given).map_err(|_| refused())?;
        let host: Option<IpAddr> = match uri.host() {
            Some(url::Host::Ipv4(ip)) => Some(ip.into()),
            Some(url::Host::Ipv6(ip)) => Some(ip.into()),
            _ => None,
        };
        let host = host.filter(|ip| uri.scheme() == "http" && ip.is_loopback()).ok_or_else(refused)?;
        let listen = SocketAddr::new(host, uri.port_or_known_default().ok_or_else(refused)?);
        Ok(Self { uri, listen, state: begun.state.clone() })
    }

    /// The whole address that the browser asked for, where it is this login's.
    fn address(&self, asked: &Uri) -> Option<String> {
        let mut address = self.uri.clone();
        address.set_query(asked.query());
        let ours = address.query_pairs().any(|(name, value)| name == "state" && value == self.state);
        (ours && asked.path() == self.uri.path()).then(|| address.into())
    }
}

/// The address that the browser came to, and where its page goes.
type Visit = (String, oneshot::Sender<String>);

async fn visit(State((redirect, visits)): State<(Redirect, mpsc::Sender<Visit>)>, asked: Uri) -> Response {
    let Some(address) = redirect.address(&asked) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (page, answer) = oneshot::channel();
    // The first visit takes the only place; a reload of the page finds it taken.
    let answer = match visits.try_send((address, page)) {
        Ok(()) => answer.await.ok(),
        Err(_) => None,
    };
    let page = answer.unwrap_or_else(|| html("Longplay", "This login has ended."));
    // The address holds a code.
    ([(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")], Html(page))
        .into_response()
}

fn html(title: &str, message: &str) -> String {
    let message = escaped(message);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <body style=\"font-family: sans-serif; max-width: 32em; margin: 4em auto\">\
         <h1>{title}</h1><p>{message}</p><p>You can close this page.</p></body></html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    fn begun(redirect_uri: &str) -> LoginBegun {
        LoginBegun {
            authorize_url: "https://accounts.example/authorize".to_owned(),
            state: "S-1".to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            served: false,
        }
    }

    #[test]
    fn only_a_loopback_address_is_listened_on() {
        let listen = |uri| Redirect::of(&begun(uri)).map(|redirect| redirect.listen.to_string());
        assert_eq!(listen("http://127.0.0.1:8467/callback").unwrap(), "127.0.0.1:8467");
        assert_eq!(listen("http://[::1]/callback").unwrap(), "[::1]:80");
        for other in ["https://127.0.0.1:1/c", "http://192.0.2.1:1/c", "http://localhost:1/c", "x"] {
            assert!(listen(other).unwrap_err().lines[0].contains("--paste"), "{other}");
        }
    }

    #[test]
    fn only_this_logins_address_is_taken() {
        let redirect = Redirect::of(&begun("http://127.0.0.1:8467/callback")).unwrap();
        let address = |asked: &str| redirect.address(&asked.parse().unwrap());
        let whole = "http://127.0.0.1:8467/callback?code=C%2B1&state=S-1";
        assert_eq!(address("/callback?code=C%2B1&state=S-1").as_deref(), Some(whole));
        for other in ["/callback", "/callback?code=C&state=S-2", "/favicon.ico?state=S-1", "/"] {
            assert_eq!(address(other), None, "{other}");
        }
    }

    async fn get(at: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_browser_is_told_how_it_went() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let redirect = Redirect::of(&begun(&format!("http://{at}/callback"))).unwrap();
        let finish = async |address: String| {
            assert_eq!(address, format!("http://{at}/callback?code=C&state=S-1"));
            Ok(LoginState { progress: Progress::Failed, message: "<denied>".to_owned() })
        };
        let browser = async {
            assert!(get(at, "/favicon.ico").await.starts_with("HTTP/1.1 404"));
            get(at, "/callback?code=C&state=S-1").await
        };
        let login = answered(listener, redirect, Duration::from_secs(60), finish);
        let (outcome, page) = tokio::join!(login, browser);
        assert_eq!(outcome.unwrap().progress, Progress::Failed);
        assert!(page.contains("<h1>Not logged in</h1><p>&lt;denied&gt;</p>"), "{page}");
        assert!(page.contains("cache-control: no-store"), "{page}");
    }

    #[tokio::test]
    async fn a_browser_that_never_comes_is_not_waited_for_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let redirect = Redirect::of(&begun("http://127.0.0.1:1/callback")).unwrap();
        let never = async |_| unreachable!();
        let error = answered(listener, redirect, Duration::ZERO, never).await.unwrap_err();
        assert!(error.lines[0].contains("--paste"), "{error:?}");
    }
}
