//! The few words of roff that the man pages need (man(7)).

/// Text as it stands.
pub fn text(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    match text.starts_with('.') {
        true => format!("\\&{text}"),
        false => text,
    }
}

/// The first line of a page. It has no date, so that it is the same whenever it is made.
pub fn title(name: &str, section: u8, manual: &str) -> String {
    let (name, version) = (text(&name.to_uppercase()), env!("CARGO_PKG_VERSION"));
    format!(".TH {name} {section} \"\" \"longplay {version}\" \"{manual}\"\n")
}

/// A section's heading.
pub fn section(name: &str) -> String {
    format!(".SH \"{}\"\n", text(name))
}

/// Lines that keep their breaks, such as examples.
pub fn verbatim<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let lines: String = lines.into_iter().map(|line| text(line) + "\n").collect();
    format!(".nf\n{lines}.fi\n")
}

/// A term with what is said of it.
pub fn item(term: &str, rest: &str, said: &str) -> String {
    let rest = if rest.is_empty() { String::new() } else { format!(" {}", text(rest)) };
    format!(".TP\n\\fB{}\\fR{rest}\n{}\n", text(term), text(said))
}
