//! Text as tokens. Every byte of the text belongs to a token, white space and comments included.

use crate::source::Span;

/// What a token is.
///
/// ```
/// use anemone::text::TokenKind;
/// assert!(TokenKind::Space.is_trivia() && TokenKind::LineComment.is_trivia() && !TokenKind::Word.is_trivia());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name or keyword.
    Word,
    /// A number, not yet checked: what starts as a number does, up to where it cannot go on.
    Number,
    /// A string with its quotes, its escapes not yet checked.
    String,
    /// `(`
    OpenParen,
    /// `)`
    CloseParen,
    /// `[`
    OpenBracket,
    /// `]`
    CloseBracket,
    /// `{`
    OpenBrace,
    /// `}`
    CloseBrace,
    /// `<`
    Less,
    /// `>`
    Greater,
    /// `=`
    Equal,
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// `?`
    Question,
    /// `->`
    Arrow,
    /// Blanks, tabs and line ends; also a byte order mark at the start of the text.
    Space,
    /// `// …` up to the end of the line.
    LineComment,
    /// `/* … */`
    BlockComment,
    /// A string that its line ends before it does.
    OpenString,
    /// A `/*` that nothing ends.
    OpenComment,
    /// Characters with which no token starts.
    Unknown,
    /// The end of the text.
    End,
}

impl Kind {
    /// Whether the grammar does not see the token.
    pub fn is_trivia(self) -> bool {
        matches!(self, Kind::Space | Kind::LineComment | Kind::BlockComment)
    }
}

/// A token.
///
/// ```
/// use anemone::text::{Lexer, Token, TokenKind};
/// let Token { kind, span } = Lexer::new("0x1p-1").next();
/// assert_eq!((kind, span.range()), (TokenKind::Number, 0..6));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
}

/// Cuts a text into tokens, one at a time.
///
/// ```
/// use anemone::text::{Lexer, TokenKind};
/// let text = "relu(x = x)";
/// let mut lexer = Lexer::new(text);
/// let mut words = Vec::new();
/// loop {
///     let token = lexer.next();
///     match token.kind {
///         TokenKind::End => break,
///         TokenKind::Word => words.push(token.span.of(text)),
///         _ => {}
///     }
/// }
/// assert_eq!(words, ["relu", "x", "x"]);
/// ```
#[derive(Clone)]
pub struct Lexer<'t> {
    bytes: &'t [u8],
    at: usize,
}

/// Bits of the classes of [`CLASS`].
const WORD: u8 = 1;
const WORD_START: u8 = 2;
const DIGIT: u8 = 4;
const SPACE: u8 = 8;
const SYMBOL: u8 = 16;

/// The classes of each byte.
static CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        class[b] = if byte.is_ascii_alphabetic() || byte == b'_' {
            WORD | WORD_START
        } else if byte.is_ascii_digit() {
            WORD | DIGIT
        } else if byte == b'@' {
            WORD
        } else if byte.is_ascii_whitespace() && byte != b'\x0c' {
            SPACE
        } else if matches!(
            byte,
            b'(' | b')'
                | b'['
                | b']'
                | b'{'
                | b'}'
                | b'<'
                | b'>'
                | b'='
                | b','
                | b';'
                | b'?'
                | b'"'
                | b'-'
                | b'/'
        ) {
            SYMBOL
        } else {
            0
        };
        b += 1;
    }
    class
};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl<'t> Lexer<'t> {
    /// Starts at the beginning of a text, which must not be longer than a [`Span`] can say.
    pub fn new(text: &'t str) -> Self {
        Self { bytes: text.as_bytes(), at: 0 }
    }

    /// The next token; [`Kind::End`] for ever at the end.
    #[inline]
    #[allow(clippy::should_implement_trait)] // The end is a token.
    pub fn next(&mut self) -> Token {
        let start = self.at;
        let kind = self.scan();
        Token { kind, span: Span::new(start, self.at) }
    }

    /// The next token that the grammar sees, or that is faulty.
    #[inline]
    pub(super) fn next_visible(&mut self) -> Token {
        loop {
            while self.is(0, SPACE) {
                self.at += 1;
            }
            let token = self.next();
            if !token.kind.is_trivia() {
                return token;
            }
        }
    }

    /// Whether the byte `ahead` is of one of these classes.
    #[inline]
    fn is(&self, ahead: usize, classes: u8) -> bool {
        self.bytes.get(self.at + ahead).is_some_and(|&b| CLASS[usize::from(b)] & classes != 0)
    }

    fn skip(&mut self, classes: u8) {
        while self.is(0, classes) {
            self.at += 1;
        }
    }

    #[inline]
    fn scan(&mut self) -> Kind {
        let Some(&first) = self.bytes.get(self.at) else { return Kind::End };
        let class = CLASS[usize::from(first)];
        if class & WORD_START != 0 {
            self.skip(WORD);
            return Kind::Word;
        }
        if class & SPACE != 0 {
            self.skip(SPACE);
            return Kind::Space;
        }
        if class & DIGIT != 0 {
            return self.number();
        }
        let next = self.bytes.get(self.at + 1).copied();
        let (kind, length) = match first {
            b'(' => (Kind::OpenParen, 1),
            b')' => (Kind::CloseParen, 1),
            b'[' => (Kind::OpenBracket, 1),
            b']' => (Kind::CloseBracket, 1),
            b'{' => (Kind::OpenBrace, 1),
            b'}' => (Kind::CloseBrace, 1),
            b'<' => (Kind::Less, 1),
            b'>' => (Kind::Greater, 1),
            b'=' => (Kind::Equal, 1),
            b',' => (Kind::Comma, 1),
            b';' => (Kind::Semicolon, 1),
            b'?' => (Kind::Question, 1),
            b'-' if next == Some(b'>') => (Kind::Arrow, 2),
            b'-' | b'+' | b'.' if self.is(1, WORD) || next == Some(b'.') => return self.number(),
            b'"' => return self.string(),
            b'/' if next == Some(b'/') => return self.line_comment(),
            b'/' if next == Some(b'*') => return self.block_comment(),
            _ if self.at == 0 && self.bytes.starts_with(BYTE_ORDER_MARK) => {
                (Kind::Space, BYTE_ORDER_MARK.len())
            }
            _ => return self.unknown(),
        };
        self.at += length;
        kind
    }

    /// A sign, then letters, digits and dots, and signs behind the letter that starts an exponent.
    fn number(&mut self) -> Kind {
        let start = self.at;
        self.at += 1;
        while let Some(&b) = self.bytes.get(self.at) {
            let sign = matches!(b, b'+' | b'-') && self.is(1, DIGIT);
            let in_number = match self.bytes[self.at - 1] {
                b'p' | b'P' if sign => true,
                b'e' | b'E' if sign => !is_hexadecimal(&self.bytes[start..self.at]),
                _ => b == b'.' || CLASS[usize::from(b)] & WORD != 0,
            };
            if !in_number {
                break;
            }
            self.at += 1;
        }
        Kind::Number
    }

    fn string(&mut self) -> Kind {
        self.at += 1;
        while let Some(&b) = self.bytes.get(self.at) {
            match b {
                b'"' => {
                    self.at += 1;
                    return Kind::String;
                }
                b'\n' => break,
                // The character behind a backslash does not end the string, unless it ends the line.
                b'\\' if self.bytes.get(self.at + 1).is_some_and(|&b| b != b'\n') => self.at += 2,
                _ => self.at += 1,
            }
        }
        Kind::OpenString
    }

    fn line_comment(&mut self) -> Kind {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        Kind::LineComment
    }

    fn block_comment(&mut self) -> Kind {
        let inside = &self.bytes[self.at + 2..];
        if let Some(end) = inside.windows(2).position(|w| w == b"*/") {
            self.at += 2 + end + 2;
            return Kind::BlockComment;
        }
        self.at = self.bytes.len();
        Kind::OpenComment
    }

    /// Everything up to where a token can start.
    fn unknown(&mut self) -> Kind {
        self.at += 1;
        while self.at < self.bytes.len() && !self.is(0, WORD_START | DIGIT | SPACE | SYMBOL) {
            self.at += 1;
        }
        Kind::Unknown
    }
}

/// Whether the text of a number, its sign included, is hexadecimal.
pub(super) fn is_hexadecimal(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    matches!(digits, [b'0', b'x' | b'X', ..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        let mut lexer = Lexer::new(text);
        std::iter::from_fn(|| Some(lexer.next()).filter(|t| t.kind != Kind::End)).collect()
    }

    /// Compares the tokens of a text, written `kind:text` with a blank between, white space left out.
    fn check(text: &str, expected: &str) {
        let found: Vec<String> = tokens(text)
            .iter()
            .filter(|t| t.kind != Kind::Space)
            .map(|t| format!("{:?}:{}", t.kind, t.span.of(text)))
            .collect();
        assert_eq!(found.join(" "), expected, "tokens of {text:?}");
    }

    #[test]
    fn words_and_punctuation() {
        check("a_1@b", "Word:a_1@b");
        check("} -> (x);", "CloseBrace:} Arrow:-> OpenParen:( Word:x CloseParen:) Semicolon:;");
        check("<?>=,[]{", {
            "Less:< Question:? Greater:> Equal:= Comma:, OpenBracket:[ CloseBracket:] OpenBrace:{"
        });
    }

    #[test]
    fn numbers_reach_as_far_as_they_can() {
        check("-0x1.8p+0,1e-5", "Number:-0x1.8p+0 Comma:, Number:1e-5");
        check("0x1e-5", "Number:0x1e Number:-5");
        check("-inf .5 1.", "Number:-inf Number:.5 Number:1.");
        check("12abc", "Number:12abc");
        check("-", "Unknown:-");
    }

    #[test]
    fn strings_end_on_their_line() {
        check(r#""a\"b" "c\\" x"#, r#"String:"a\"b" String:"c\\" Word:x"#);
        check("\"a\nb", "OpenString:\"a Word:b");
        check("\"a\\\nb", "OpenString:\"a\\ Word:b");
        check("\"a\\", "OpenString:\"a\\");
    }

    #[test]
    fn comments_are_tokens() {
        check("a//b\nc/**/d", "Word:a LineComment://b Word:c BlockComment:/**/ Word:d");
        check("/* *", "OpenComment:/* *");
        check("/*/", "OpenComment:/*/");
    }

    #[test]
    fn unknown_characters_are_one_token() {
        check("a é€%b", "Word:a Unknown:é€% Word:b");
        check("\u{feff}a \u{feff}", "Word:a Unknown:\u{feff}");
    }

    proptest! {
        #[test]
        fn every_byte_belongs_to_a_token(text in r#"[a-z0-9.+\-px"'\\/* \n(){}<>=é]{0,60}"#) {
            let joined: String = tokens(&text).iter().map(|t| t.span.of(&text)).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
