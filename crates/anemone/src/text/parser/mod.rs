//! Text to program, by recursive descent.
//!
//! A fault in a statement is reported, the rest of the statement is skipped, and reading goes on with the next one,
//! so that one reading finds the faults of many statements. A text with any error gives no program.

mod program;
mod ty;
mod value;

#[cfg(test)]
mod tests;

use super::lexer::{Kind, Lexer, Token};
use super::{MAX_DEPTH, check_size};
use crate::mil::{Name, Names, Program, Version};
use crate::source::{Code, Diagnostic, Diagnostics, Severity, Span, codes};

/// Reads a program.
///
/// ```
/// use anemone::text;
/// let text = "program(1.3) { func main<ios18>(fp16 x) { fp16 y = relu(x = x); } -> (y); }";
/// let program = text::parse(text)?;
/// assert_eq!(program.functions[0].body.calls[0].op, "relu");
///
/// let wrong = text::parse("program(1.3) { func main<ios18>(fp16 x) { fp16 y = relu(x = ); } -> (y); }");
/// assert!(wrong.unwrap_err().has_errors());
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
///
/// # Errors
///
/// Everything that is wrong with the text. Warnings are not among it: [`parse_with`] gives these too.
pub fn parse(text: &str) -> Result<Program, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    if let Some(program) = parse_with(text, &mut diagnostics) {
        return Ok(program);
    }
    if diagnostics.iter().all(|d| d.severity == Severity::Error) {
        return Err(diagnostics);
    }
    let mut errors = Diagnostics::default();
    diagnostics.into_iter().filter(|d| d.severity == Severity::Error).for_each(|d| errors.push(d));
    Err(errors)
}

/// Reads a program, and adds what is to be said of the text; there is a program if no error was added.
///
/// ```
/// use anemone::{source::Diagnostics, text};
/// let mut wrong = Diagnostics::default();
/// let text = "program(1.3) { func main<ios18>(fp16 x) { fp16 y = relu(x = ); } -> (y); }";
/// text::parse_with(text, &mut wrong);
/// assert_eq!(wrong.errors(), 1);
/// ```
pub fn parse_with(text: &str, diagnostics: &mut Diagnostics) -> Option<Program> {
    if let Err(too_large) = check_size(text.len()) {
        diagnostics.push(too_large);
        return None;
    }
    let errors = diagnostics.errors();
    let program = Parser::new(text, diagnostics).program();
    program.ok().filter(|_| diagnostics.errors() == errors)
}

/// Reading cannot go on here, and why has been reported.
#[derive(Debug)]
struct Failed;

type Parsed<T> = Result<T, Failed>;

struct Parser<'t, 'd> {
    text: &'t str,
    lexer: Lexer<'t>,
    /// The token that is looked at.
    token: Token,
    /// The token before it.
    previous: Token,
    names: Names,
    version: Version,
    depth: usize,
    /// How many more types the values inside of lists and dicts may repeat. Bounds the memory that a text can claim.
    type_budget: usize,
    /// After a fault in the tokens themselves, what the grammar misses is not reported too.
    muted: bool,
    /// Whether the program binds a name that is also the word of a literal, such as `inf`. Then the word is that name
    /// where a name can be; otherwise it is taken for a literal whose type is missing.
    binds_word: bool,
    /// Where the token stands that took the place of a faulty one.
    repaired: Option<u32>,
    diagnostics: &'d mut Diagnostics,
}

/// The words of literals.
fn is_literal_word(word: &str) -> bool {
    matches!(word, "true" | "false" | "inf" | "nan")
}

impl<'t, 'd> Parser<'t, 'd> {
    fn new(text: &'t str, diagnostics: &'d mut Diagnostics) -> Self {
        let nothing = Token { kind: Kind::Space, span: Span::default() };
        let mut parser = Self {
            text,
            lexer: Lexer::new(text),
            token: nothing,
            previous: nothing,
            names: Names::default(),
            version: Version::V1_3,
            depth: 0,
            type_budget: text.len(),
            muted: false,
            binds_word: false,
            repaired: None,
            diagnostics,
        };
        parser.bump();
        parser
    }

    /// Moves on to the next token, and returns the one that was looked at.
    #[inline]
    fn bump(&mut self) -> Token {
        self.previous = self.token;
        self.token = self.lexer.next_visible();
        if matches!(self.token.kind, Kind::Unknown | Kind::OpenString | Kind::OpenComment) {
            self.report_token();
        }
        self.previous
    }

    /// Reports a faulty token and puts in its place what was probably meant.
    #[cold]
    fn report_token(&mut self) {
        while matches!(self.token.kind, Kind::Unknown | Kind::OpenString | Kind::OpenComment) {
            let at = self.token.span;
            let text = at.of(self.text);
            let report = match self.token.kind {
                Kind::OpenString => {
                    self.token.kind = Kind::String;
                    Diagnostic::new(&codes::UNTERMINATED_STRING, "a string has no closing quote")
                        .at(at, "it ends with its line")
                        .help("end the string with `\"`")
                }
                Kind::OpenComment => {
                    self.token = self.lexer.next_visible();
                    Diagnostic::new(&codes::UNTERMINATED_COMMENT, "a comment has no end")
                        .at(Span::new(at.start as usize, at.start as usize + 2), "it starts here")
                        .help("end the comment with `*/`")
                }
                _ => {
                    self.token = self.lexer.next_visible();
                    let help = match text.as_bytes()[0] {
                        b'\'' => Some("write strings in double quotes"),
                        b'%' => Some("write names without `%`"),
                        b'#' => Some("start a comment with `//`"),
                        b'.' | b':' | b'\\' | b'-' | b'$' => {
                            Some("make names of letters, digits and `_` only")
                        }
                        _ => None,
                    };
                    let shown = self.shown(at);
                    let d = Diagnostic::new(
                        &codes::UNEXPECTED_CHARACTER,
                        format!("no token starts with {shown}"),
                    );
                    let d = d.at(at, "not a character of MIL outside of strings");
                    if let Some(help) = help { d.help(help) } else { d }
                }
            };
            self.report(report);
            self.muted = true;
        }
        self.repaired = Some(self.token.span.start);
    }

    /// Starts to read something that is independent of what was read before: its faults are reported again, unless
    /// it starts with a faulty token.
    fn unmute(&mut self) {
        self.muted = self.repaired == Some(self.token.span.start);
    }

    /// The text of a token.
    #[inline]
    fn of(&self, token: Token) -> &'t str {
        token.span.of(self.text)
    }

    /// The name that a token is.
    #[inline]
    fn name(&mut self, token: Token) -> Name {
        self.names.get(token.span.of(self.text))
    }

    #[inline]
    fn at(&self, kind: Kind) -> bool {
        self.token.kind == kind
    }

    /// Moves past a token of this kind, if it is looked at.
    #[inline]
    fn eat(&mut self, kind: Kind) -> bool {
        let is = self.at(kind);
        if is {
            self.bump();
        }
        is
    }

    /// Moves past a token of this kind. `what` names it for the report.
    #[inline]
    fn expect(&mut self, kind: Kind, what: &str) -> Parsed<Token> {
        if self.at(kind) { Ok(self.bump()) } else { Err(self.unexpected(what)) }
    }

    /// From a token to the one before the one that is looked at.
    fn since(&self, start: Token) -> Span {
        start.span.to(self.previous.span)
    }

    /// Items with commas between them, up to `close`. The opening bracket has been read.
    fn separated(
        &mut self,
        close: Kind,
        what: &str,
        mut item: impl FnMut(&mut Self) -> Parsed<()>,
    ) -> Parsed<Token> {
        if self.at(close) {
            return Ok(self.bump());
        }
        loop {
            item(self)?;
            if !self.eat(Kind::Comma) {
                return self.expect(close, what);
            }
        }
    }

    /// Reads something that is nested one deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            let message = format!("the program is nested more than {MAX_DEPTH} deep");
            return self.fail(&codes::TOO_DEEP, message, self.token.span, "too deep here");
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if diagnostic.severity != Severity::Error || !self.muted {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Reports an error and gives up.
    #[cold]
    fn fail<T>(
        &mut self,
        code: &'static Code,
        message: impl Into<String>,
        at: Span,
        label: impl Into<String>,
    ) -> Parsed<T> {
        self.report(Diagnostic::new(code, message).at(at, label));
        Err(Failed)
    }

    /// Reports that the token that is looked at is not what the grammar wants.
    #[cold]
    fn unexpected(&mut self, what: &str) -> Failed {
        self.unexpected_with(what, None)
    }

    #[cold]
    fn unexpected_with(&mut self, what: &str, help: Option<String>) -> Failed {
        let found = match self.token.kind {
            Kind::End => "the end of the text".to_string(),
            Kind::String => "a string".to_string(),
            _ => self.shown(self.token.span),
        };
        // The end is shown behind what is there, and not on an empty line far below.
        let at = match self.token.kind {
            Kind::End => Span::new(self.previous.span.end as usize, self.previous.span.end as usize),
            _ => self.token.span,
        };
        let mut d =
            Diagnostic::new(&codes::UNEXPECTED_TOKEN, format!("{what} is expected, and {found} is found"))
                .at(at, format!("expected {what}"));
        d.help = help;
        self.report(d);
        Failed
    }

    /// A short piece of the text for a message.
    fn shown(&self, span: Span) -> String {
        const LONGEST: usize = 40;
        let text = span.of(self.text);
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("`{}…`", &text[..end]),
            None => format!("`{text}`"),
        }
    }
}
