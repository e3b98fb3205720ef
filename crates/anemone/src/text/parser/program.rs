//! Programs, functions, blocks and statements.

use std::collections::HashMap;

use super::{Failed, Kind, Parsed, Parser, Token, is_literal_word};
use crate::mil::{
    Argument, Attribute, Binding, Block, Call, Function, Name, Operand, OpsetName, Param, Program, Use,
    Version,
};
use crate::source::{Code, Diagnostic, Span, codes, suggest};
use crate::types::DType;

impl Parser<'_, '_> {
    /// `program(1.0) [attributes] { functions }`
    pub(super) fn program(mut self) -> Parsed<Program> {
        self.keyword("program")?;
        self.expect(Kind::OpenParen, "`(`")?;
        self.version()?;
        self.expect(Kind::CloseParen, "`)`")?;
        let attributes = self.attributes()?;
        self.expect(Kind::OpenBrace, "`{`")?;
        let mut functions = Vec::new();
        while !self.at(Kind::CloseBrace) && !self.at(Kind::End) {
            match self.function() {
                Ok(function) => functions.extend(function),
                Err(Failed) => self.recover_function(),
            }
        }
        self.expect(Kind::CloseBrace, "`func` or `}`")?;
        if !self.at(Kind::End) {
            let label = "nothing may follow the program";
            return self.fail(
                &codes::TRAILING_TEXT,
                "text follows the end of the program",
                self.token.span,
                label,
            );
        }
        Ok(Program { version: self.version, attributes, functions })
    }

    fn keyword(&mut self, word: &str) -> Parsed<Token> {
        if self.at(Kind::Word) && self.of(self.token) == word {
            return Ok(self.bump());
        }
        let near = self.at(Kind::Word) && suggest(self.of(self.token), [word]).is_some();
        Err(self.unexpected_with(&format!("`{word}`"), near.then(|| format!("write `{word}`"))))
    }

    fn version(&mut self) -> Parsed<()> {
        let token = self.expect(Kind::Number, "the version of the program")?;
        self.version = match self.of(token) {
            "1.0" | "1" => Version::V1_0,
            "1.3" => Version::V1_3,
            other => {
                let d =
                    Diagnostic::new(&codes::BAD_VERSION, format!("there is no program version `{other}`"));
                self.report(
                    d.at(token.span, "not a version")
                        .help("write `program(1.3)`, or `program(1.0)` for iOS 15 to 17"),
                );
                Version::V1_3
            }
        };
        Ok(())
    }

    /// `func main<ios18>(parameters) [attributes] { … } -> (…);`
    ///
    /// Behind a faulty header the statements are read nevertheless, for the errors in them.
    fn function(&mut self) -> Parsed<Option<Function>> {
        let mut function = self.function_header().ok();
        if function.is_none() {
            self.recover_body()?;
        }
        let mut outcast = Block::default();
        self.body(function.as_mut().map_or(&mut outcast, |f| &mut f.body))?;
        self.semicolon()?;
        Ok(function)
    }

    fn function_header(&mut self) -> Parsed<Function> {
        self.unmute();
        let start = self.keyword("func")?;
        let name = self.expect(Kind::Word, "the name of the function")?;
        let span = self.since(start);
        let name = self.name(name);
        if !self.at(Kind::Less) {
            let help = format!("write the opset behind the name, such as `{name}<ios18>`");
            return Err(self.unexpected_with("`<`", Some(help)));
        }
        let (opset, opset_span) = self.opset()?;
        self.expect(Kind::OpenParen, "`(`")?;
        let params = self.params()?;
        let attributes = self.attributes()?;
        let mut body = Block::default();
        if self.at(Kind::Word) && self.of(self.token) == "block" {
            self.bump();
            body.attributes = self.attributes()?;
        }
        Ok(Function { name, opset, params, attributes, body, span, opset_span })
    }

    /// `<ios18>`
    fn opset(&mut self) -> Parsed<(OpsetName, Span)> {
        self.expect(Kind::Less, "`<`")?;
        let token = self.expect(Kind::Word, "the name of an opset")?;
        self.expect(Kind::Greater, "`>`")?;
        Ok((OpsetName::from(self.of(token)), token.span))
    }

    /// Parameters behind their `(`.
    fn params(&mut self) -> Parsed<Vec<Param>> {
        let mut params = Vec::new();
        self.separated(Kind::CloseParen, "`,` or `)`", |p| {
            let first = p.expect(Kind::Word, "the type of a parameter")?;
            params.push(p.param(first, "the name of the parameter")?);
            Ok(())
        })?;
        Ok(params)
    }

    /// A type whose first word has been read, and a name.
    fn param(&mut self, first: Token, what: &str) -> Parsed<Param> {
        let ty = self.ty(first)?;
        let ty_span = self.since(first);
        let name = self.expect(Kind::Word, what)?;
        self.binds_word |= is_literal_word(self.of(name));
        Ok(Param { name: self.name(name), ty, span: name.span, ty_span })
    }

    /// `{ statements } -> (results)`
    fn body(&mut self, block: &mut Block) -> Parsed<()> {
        let open = self.expect(Kind::OpenBrace, "`{`")?;
        loop {
            match self.token.kind {
                Kind::CloseBrace => break,
                Kind::End => return Err(self.unclosed(open)),
                Kind::Word if self.of(self.token) == "func" => return Err(self.unclosed(open)),
                _ => {}
            }
            let depth = self.depth;
            self.unmute();
            match self.call() {
                Ok(call) => block.calls.push(call),
                Err(Failed) => {
                    self.depth = depth;
                    self.recover_statement();
                    // The statement that has no end has been reported.
                    if self.at(Kind::End) {
                        return Err(Failed);
                    }
                }
            }
        }
        self.bump();
        self.expect(Kind::Arrow, "`->`")?;
        let start = self.expect(Kind::OpenParen, "`(`")?;
        self.separated(Kind::CloseParen, "`,` or `)`", |p| {
            let token = p.expect(Kind::Word, "the name of a result")?;
            block.outputs.push(Use { name: p.name(token), span: token.span });
            Ok(())
        })?;
        block.span = self.since(start);
        Ok(())
    }

    #[cold]
    fn unclosed(&mut self, open: Token) -> Failed {
        let d = Diagnostic::new(&codes::UNEXPECTED_TOKEN, "the block is not closed")
            .at(self.token.span, "expected `}`")
            .at(open.span, "the block starts here")
            .help("end the block with `} -> (…)`");
        self.report(d);
        Failed
    }

    /// `type name, type name = op(arguments)[attributes];`, or without results.
    fn call(&mut self) -> Parsed<Call> {
        let start = self.expect(Kind::Word, "a statement")?;
        let mut outputs = Vec::new();
        let op = match self.token.kind {
            Kind::OpenParen => start,
            Kind::Less if !Self::takes_parameters(self.of(start)) && !self.type_is_next() => start,
            Kind::Equal => {
                let name = self.of(start);
                let message = format!("the result `{name}` has no type");
                let help = format!("write the type before the name, such as `tensor<fp16, [1, 8]> {name}`");
                self.report(
                    Diagnostic::new(&codes::UNEXPECTED_TOKEN, message)
                        .at(start.span, "expected its type before it")
                        .help(help),
                );
                self.bump();
                self.expect(Kind::Word, "the name of an op")?
            }
            _ => {
                outputs.push(self.param(start, "the name of the result")?);
                while self.eat(Kind::Comma) {
                    let first = self.expect(Kind::Word, "the type of a result")?;
                    outputs.push(self.param(first, "the name of the result")?);
                }
                self.expect(Kind::Equal, "`=`")?;
                self.expect(Kind::Word, "the name of an op")?
            }
        };
        let opset = if self.at(Kind::Less) { Some(self.opset()?.0) } else { None };
        self.expect(Kind::OpenParen, "`(`")?;
        let arguments = self.arguments()?;
        let attributes = self.attributes()?;
        let mut blocks = Vec::new();
        while self.at(Kind::Word) && self.of(self.token) == "block" {
            blocks.push(self.deeper(Self::block)?);
        }
        self.semicolon()?;
        let span = self.since(start);
        Ok(Call { op: self.name(op), opset, outputs, arguments, attributes, blocks, span, op_span: op.span })
    }

    /// Whether a type stands behind this `<`, where an op has an opset.
    fn type_is_next(&self) -> bool {
        let word = self.of(self.lexer.clone().next_visible());
        Self::takes_parameters(word) || DType::from_name(word).is_some()
    }

    /// `block (parameters) [attributes] { … } -> (…)`
    fn block(&mut self) -> Parsed<Block> {
        self.bump();
        self.expect(Kind::OpenParen, "`(`")?;
        let mut block = Block { params: self.params()?, ..Block::default() };
        block.attributes = self.attributes()?;
        self.body(&mut block)?;
        Ok(block)
    }

    /// A `;`. Where only this is missing, it is reported and reading goes on.
    fn semicolon(&mut self) -> Parsed<()> {
        if self.eat(Kind::Semicolon) {
            return Ok(());
        }
        let between = self.previous.span.end as usize..self.token.span.start as usize;
        let at_end = matches!(self.token.kind, Kind::CloseBrace | Kind::End)
            || self.text.get(between).is_some_and(|space| space.contains('\n'));
        if !at_end {
            return Err(self.unexpected("`;`"));
        }
        let end = self.previous.span.end as usize;
        let d = Diagnostic::new(&codes::UNEXPECTED_TOKEN, "a `;` is missing");
        self.report(
            d.at(Span::new(end.saturating_sub(1), end), "expected `;` behind this").help("add a `;`"),
        );
        Ok(())
    }

    /// Arguments behind their `(`.
    fn arguments(&mut self) -> Parsed<Vec<Argument>> {
        let mut arguments = Vec::new();
        let mut unnamed = None;
        self.separated(Kind::CloseParen, "`,` or `)`", |p| {
            if !p.at(Kind::Word) {
                return p.positional(None, &mut unnamed);
            }
            let token = p.bump();
            if !p.eat(Kind::Equal) {
                return p.positional(Some(token), &mut unnamed);
            }
            let name = p.name(token);
            let binding = if p.eat(Kind::OpenParen) {
                let mut operands = Vec::new();
                p.separated(Kind::CloseParen, "`,` or `)`", |p| {
                    operands.push(p.operand()?);
                    Ok(())
                })?;
                Binding::Many(operands)
            } else {
                Binding::One(p.operand()?)
            };
            arguments.push(Argument { name, binding, span: token.span });
            Ok(())
        })?;
        self.once(&arguments, |a| (&a.name, a.span), &codes::DUPLICATE_ARGUMENT, "argument");
        Ok(arguments)
    }

    /// A name or a literal.
    fn operand(&mut self) -> Parsed<Operand> {
        match self.token.kind {
            Kind::Word => {
                let first = self.bump();
                self.operand_from(first)
            }
            Kind::Number | Kind::String | Kind::OpenBracket | Kind::OpenBrace => {
                self.untyped(None).map(|(value, span)| Operand::Value(value, span))
            }
            _ => Err(self.unexpected("a name or a literal")),
        }
    }

    /// A name or a literal whose first word has been read.
    fn operand_from(&mut self, first: Token) -> Parsed<Operand> {
        match self.token.kind {
            Kind::OpenParen | Kind::Less => {
                self.literal(first).map(|(value, span)| Operand::Value(value, span))
            }
            _ if !self.binds_word && is_literal_word(self.of(first)) => {
                self.untyped(Some(first)).map(|(value, span)| Operand::Value(value, span))
            }
            _ => Ok(Operand::Name(Use { name: self.name(first), span: first.span })),
        }
    }

    /// Reads over an argument without a name, and reports it: with the first of its call, if that was reported.
    #[cold]
    fn positional(&mut self, first: Option<Token>, reported: &mut Option<usize>) -> Parsed<()> {
        let start = first.unwrap_or(self.token);
        // What is wrong with the value besides is not reported.
        let muted = std::mem::replace(&mut self.muted, true);
        let read = match first {
            Some(first) => self.operand_from(first).map(drop),
            None if matches!(self.token.kind, Kind::Number | Kind::String | Kind::OpenBracket) => {
                self.operand().map(drop)
            }
            None => Err(Failed),
        };
        self.muted = muted;
        if read.is_err() && first.is_none() {
            return Err(self.unexpected("the name of an argument"));
        }
        if read.is_ok() && !self.at(Kind::Comma) && !self.at(Kind::CloseParen) {
            return Err(self.unexpected("`=`"));
        }
        let span = self.since(start);
        let code = &codes::POSITIONAL_ARGUMENT;
        if reported.is_some_and(|i| self.diagnostics.also(i, code, span, "nor has this")) {
            return read;
        }
        *reported = Some(self.diagnostics.next());
        let value = self.shown(span);
        self.report(
            Diagnostic::new(code, format!("the argument {value} has no name"))
                .at(span, "expected `name = value`")
                .help(format!("write the name of the parameter before it, such as `x = {}", &value[1..])),
        );
        read
    }

    /// `[name = literal, …]`, if it is there.
    fn attributes(&mut self) -> Parsed<Vec<Attribute>> {
        let mut attributes = Vec::new();
        if !self.eat(Kind::OpenBracket) {
            return Ok(attributes);
        }
        self.separated(Kind::CloseBracket, "`,` or `]`", |p| {
            let token = p.expect(Kind::Word, "the name of an attribute")?;
            p.expect(Kind::Equal, "`=`")?;
            let (value, value_span) = p.typed_literal()?;
            attributes.push(Attribute { name: p.name(token), value, span: token.span, value_span });
            Ok(())
        })?;
        self.once(&attributes, |a| (&a.name, a.span), &codes::DUPLICATE_ATTRIBUTE, "attribute");
        Ok(attributes)
    }

    /// Reports names that occur twice.
    fn once<T>(&mut self, items: &[T], name: impl Fn(&T) -> (&Name, Span), code: &'static Code, what: &str) {
        /// Up to here comparing each with each is faster than a table.
        const FEW: usize = 16;
        let mut report = |name: &Name, first: Span, second: Span| {
            self.report(
                Diagnostic::new(code, format!("the {what} `{name}` is given twice"))
                    .at(second, "given again here")
                    .at(first, "first given here")
                    .help(format!("remove one of the two `{name}`")),
            );
        };
        if items.len() <= FEW {
            for (i, item) in items.iter().enumerate() {
                let (this, span) = name(item);
                if let Some(first) = items[..i].iter().map(&name).find(|(n, _)| *n == this) {
                    report(this, first.1, span);
                }
            }
        } else {
            let mut seen = HashMap::new();
            for item in items {
                let (this, span) = name(item);
                if let Some(first) = seen.insert(this, span) {
                    report(this, first, span);
                }
            }
        }
    }

    /// Skips the rest of a statement: up to behind its `;`, or to what ends the block. A `;` with something behind it that
    /// starts no statement was meant for a comma.
    fn recover_statement(&mut self) {
        let mut open = 0;
        loop {
            let after_brackets = matches!(self.previous.kind, Kind::CloseParen | Kind::CloseBracket);
            match self.token.kind {
                Kind::End => return,
                Kind::Semicolon if open == 0 => {
                    self.bump();
                    if self.starts_statement() {
                        return;
                    }
                    continue;
                }
                Kind::Word if self.starts_function() => return,
                // A brace of a dict stands behind a `(`, `{` or `,`.
                Kind::OpenBrace if after_brackets => open += 1,
                Kind::CloseBrace if self.ends_block() => {
                    if open == 0 {
                        return;
                    }
                    open -= 1;
                }
                _ => {}
            }
            self.bump();
        }
    }

    /// Skips the rest of the header of a function: up to its `{`.
    fn recover_body(&mut self) -> Parsed<()> {
        loop {
            match self.token.kind {
                Kind::End => return Err(Failed),
                Kind::Word if self.starts_function() => return Err(Failed),
                Kind::OpenBrace if matches!(self.previous.kind, Kind::CloseParen | Kind::CloseBracket) => {
                    return Ok(());
                }
                _ => self.bump(),
            };
        }
    }

    /// Skips to the next function, or to the end.
    fn recover_function(&mut self) {
        self.depth = 0;
        while !self.at(Kind::End) && !self.starts_function() {
            self.bump();
        }
        // That the program is not closed either would be no news.
        self.muted = self.at(Kind::End);
    }

    /// Whether a statement starts here, or its block ends: a type has a `<` or a name behind it.
    fn starts_statement(&self) -> bool {
        match self.token.kind {
            Kind::Word => {
                let behind = self.lexer.clone().next_visible().kind;
                matches!(behind, Kind::Less | Kind::Word | Kind::OpenParen)
            }
            kind => matches!(kind, Kind::CloseBrace | Kind::End),
        }
    }

    /// Whether a function starts here: `func` behind something that ends a statement, a block or a function.
    fn starts_function(&self) -> bool {
        matches!(self.previous.kind, Kind::Semicolon | Kind::CloseBrace | Kind::CloseParen | Kind::OpenBrace)
            && self.at(Kind::Word)
            && self.of(self.token) == "func"
    }

    /// Whether this `}` is followed by `->`.
    fn ends_block(&self) -> bool {
        self.lexer.clone().next_visible().kind == Kind::Arrow
    }
}
