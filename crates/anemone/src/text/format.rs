//! The layout of a text, without a change to what is written in it.

use super::lexer::{Kind, Lexer, Token};
use super::parser::parse;
use crate::source::Diagnostics;

/// Lays out a text as [`print`](super::print) does, and keeps its comments, its order and the way its numbers are
/// written: only white space changes.
///
/// A comment on a line of its own stays on one; a comment behind a statement stays behind it; a comment that runs to
/// the end of a line inside of a statement moves to a line before the statement. One blank line between statements is
/// kept. A text that `format` has laid out stays as it is.
///
/// ```
/// let text = "program(1.3){func main<ios18>(fp16 x){ // the input\nfp16 y=relu(x=x);}->(y);}";
/// let formatted = anemone::text::format(text)?;
/// assert!(formatted.contains("// the input") && formatted.contains("fp16 y = relu(x = x);"));
/// # Ok::<(), anemone::source::Diagnostics>(())
/// ```
///
/// # Errors
///
/// Everything that is wrong with the text.
pub fn format(text: &str) -> Result<String, Diagnostics> {
    parse(text)?;
    let mut layout = Layout::new(text);
    let mut lexer = Lexer::new(text);
    loop {
        let token = lexer.next();
        match token.kind {
            Kind::End => break,
            Kind::Space => layout.space(token),
            Kind::LineComment | Kind::BlockComment => layout.comment(token),
            _ => layout.token(token),
        }
    }
    Ok(layout.finish())
}

/// The text so far, and the line that is being put together.
struct Layout<'t> {
    text: &'t str,
    out: String,
    line: String,
    /// Comments from the inside of the line, which go before it.
    before: Vec<&'t str>,
    /// The last token of the line.
    last: Option<Kind>,
    /// The last token of the line, comments aside, is `)` or `]`.
    after_brackets: bool,
    /// The last token of the line, comments aside, is the keyword `block`.
    after_block: bool,
    /// The line is the header of a function or block.
    in_header: bool,
    /// How many brackets are open in the line, `<` not among them.
    open: usize,
    /// How many `<` are open.
    angles: usize,
    /// How many blocks are open, the program among them.
    blocks: usize,
    /// How many line ends stand between the last token or comment and here.
    line_ends: usize,
    /// A block has just been opened: no blank line goes here.
    at_start: bool,
}

impl<'t> Layout<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            out: String::with_capacity(text.len()),
            line: String::new(),
            before: Vec::new(),
            last: None,
            after_brackets: false,
            after_block: false,
            in_header: false,
            open: 0,
            angles: 0,
            blocks: 0,
            line_ends: 0,
            at_start: true,
        }
    }

    fn space(&mut self, token: Token) {
        self.line_ends += token.span.of(self.text).bytes().filter(|&b| b == b'\n').count();
    }

    fn comment(&mut self, token: Token) {
        let comment = token.span.of(self.text).trim_end();
        if self.line.is_empty() {
            if self.line_ends == 0 && !self.out.is_empty() {
                self.out.push(' ');
                self.out.push_str(comment);
            } else {
                self.blank_line();
                self.emit(self.indent(), comment);
            }
        } else if token.kind == Kind::BlockComment && !comment.contains('\n') {
            if !matches!(self.last, Some(Kind::OpenParen | Kind::OpenBracket | Kind::OpenBrace | Kind::Less))
            {
                self.line.push(' ');
            }
            self.line.push_str(comment);
            self.last = Some(Kind::BlockComment);
        } else {
            self.before.push(comment);
        }
        self.line_ends = 0;
    }

    fn token(&mut self, token: Token) {
        let text = token.span.of(self.text);
        if self.line.is_empty() && token.kind != Kind::CloseBrace {
            self.blank_line();
        }
        self.line_ends = 0;
        if self.needs_space(token.kind) {
            self.line.push(' ');
        }
        self.line.push_str(text);
        // A name can be `block` too, but none stands behind brackets.
        self.after_block = text == "block" && self.open == 0 && self.after_brackets;
        self.in_header |= self.after_block || text == "func" && self.last.is_none();
        self.after_brackets = matches!(token.kind, Kind::CloseParen | Kind::CloseBracket);
        self.last = Some(token.kind);
        match token.kind {
            Kind::OpenBrace if self.open == 0 => {
                let indent = self.line_indent();
                self.end_line(indent);
                self.blocks += 1;
                self.at_start = true;
            }
            Kind::CloseBrace if self.open == 0 => {
                if self.blocks == 1 {
                    self.end_line(0);
                }
                self.blocks = self.blocks.saturating_sub(1);
            }
            Kind::Semicolon => {
                let indent = self.line_indent();
                self.end_line(indent);
            }
            Kind::OpenParen | Kind::OpenBracket | Kind::OpenBrace => self.open += 1,
            Kind::CloseParen | Kind::CloseBracket | Kind::CloseBrace => {
                self.open = self.open.saturating_sub(1);
                // `program(…)` and its attributes have lines of their own.
                if self.open == 0 && self.blocks == 0 {
                    self.end_line(0);
                }
            }
            Kind::Less => self.angles += 1,
            Kind::Greater => self.angles = self.angles.saturating_sub(1),
            _ => {}
        }
    }

    /// Whether a blank goes between the last token and this one.
    fn needs_space(&self, kind: Kind) -> bool {
        use Kind::*;
        let Some(last) = self.last else { return false };
        match (last, kind) {
            (_, Comma | Semicolon | CloseParen | CloseBracket | Greater | Less) => false,
            (Comma, _) | (_, Arrow) | (Arrow, _) => true,
            // In `tensor_buffer<…, shape=[…]>` there is none.
            (_, Equal) | (Equal, _) => self.angles == 0,
            (BlockComment, _) => kind != CloseBrace || self.open == 0,
            (Word | Greater | CloseParen | CloseBracket, Word) => true,
            (_, OpenBrace) => self.open == 0,
            (CloseParen, OpenBracket) => self.in_header,
            (Word, OpenParen | OpenBracket) => self.after_block,
            _ => false,
        }
    }

    /// Ends the line that has been put together.
    fn end_line(&mut self, indent: usize) {
        let comments = std::mem::take(&mut self.before);
        // Where the line closes a block, the comments stand inside of it.
        let inside = if self.line.starts_with('}') { indent + 4 } else { indent };
        for comment in comments {
            self.emit(inside, comment);
        }
        let line = std::mem::take(&mut self.line);
        self.emit(indent, &line);
        self.last = None;
        self.in_header = false;
    }

    fn emit(&mut self, indent: usize, line: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out.push_str(&" ".repeat(indent));
        self.out.push_str(line);
        self.at_start = false;
    }

    fn blank_line(&mut self) {
        if self.line_ends > 1 && !self.at_start {
            self.out.push('\n');
        }
    }

    /// The indent of what stands in the block that is open.
    fn indent(&self) -> usize {
        match self.blocks {
            0 => 0,
            1 => 4,
            n => 8 * n - 4,
        }
    }

    /// The indent of the line that is being put together, whose `}` has been counted.
    fn line_indent(&self) -> usize {
        match self.line.starts_with('}') {
            true => 8 * self.blocks,
            false => self.indent(),
        }
    }

    fn finish(mut self) -> String {
        if self.line_ends > 0 {
            self.out.push('\n');
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lays out a text, compares, and lays it out again.
    fn check(text: &str, expected: &str) {
        let formatted = format(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(formatted, expected);
        assert_eq!(format(&formatted).unwrap(), formatted, "the second time");
    }

    #[test]
    fn only_white_space_changes() {
        check(
            "program(1.3)[buildInfo=dict<string,string>({{\"b\",\"1\"},{\"a\",\"2\"}})]{func main<ios18>(fp16 z,tensor<fp16,[1,?]> a)\n{int32 y=f(z=z,a=(a,int8(0x7)))[val=fp16(0.5)];}->(y);}",
            "program(1.3)
[buildInfo = dict<string, string>({{\"b\", \"1\"}, {\"a\", \"2\"}})]
{
    func main<ios18>(fp16 z, tensor<fp16, [1, ?]> a) {
            int32 y = f(z = z, a = (a, int8(0x7)))[val = fp16(0.5)];
        } -> (y);
}",
        );
    }

    #[test]
    fn comments_and_single_blank_lines_stay() {
        check(
            "// first
program(1.3) // version
{ // start

    func f<ios18>( // header
        tensor_buffer<fp16,shape=[1],strides=[1],interleave_factors=[1]> x /* input */) [a = int8(1)] {
  // one


  /* two
     lines */
  g(/* in place */ x = x, // moves up
    y = ( /* a */ x /* b */, x) /* c */ ); // behind
  h();

  // last
  } /* d */ -> (x); /* end */ // of f

}
// done
",
            "// first
program(1.3) // version
{ // start
    // header
    func f<ios18>(tensor_buffer<fp16, shape=[1], strides=[1], interleave_factors=[1]> x /* input */) [a = int8(1)] {
            // one

            /* two
     lines */
            // moves up
            g(/* in place */ x = x, y = (/* a */ x /* b */, x) /* c */); // behind
            h();

            // last
        } /* d */ -> (x); /* end */ // of f
}
// done
",
        );
    }

    #[test]
    fn blocks_are_indented() {
        check(
            "program(1.3){func f<ios18>()block[a=int8(1)]{int8 y=cond(p=p)[n=int8(1)]block(){/*1*/int8 a=g();}->(a)block(int8 q)[m=int8(1)]{
            }// moves in
            ->(b);}->(y);}",
            "program(1.3)
{
    func f<ios18>() block [a = int8(1)] {
            int8 y = cond(p = p)[n = int8(1)] block () { /*1*/
                    int8 a = g();
                } -> (a) block (int8 q) [m = int8(1)] {
                    // moves in
                } -> (b);
        } -> (y);
}",
        );
    }

    #[test]
    fn a_faulty_text_is_refused() {
        assert!(format("program(1.3) {").is_err());
    }
}
