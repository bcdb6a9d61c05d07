//! PL/pgSQL's statements, run. Must never plan or run SQL but through its invocation.

use super::call::{Boxed, Failed, Invocation};
use crate::env::Env;
use crate::world::postgres::error::{PgError, Result};
use crate::world::postgres::sql::{Act, Block, Fragment, Handler, Raise, means, named};
use crate::world::postgres::types::{Datum, Ty, to_text};

/// Where to go on after a statement.
#[derive(Debug)]
pub enum Flow {
    Next,
    Return(Datum),
    Exit(Option<String>),
    Continue(Option<String>),
}

type Acts = [(usize, Act)];

impl<E: Env> Invocation<'_, E> {
    /// LANGUAGE plpgsql.
    pub async fn procedural(&mut self, block: &Block) -> Result<Datum> {
        let flow = self.block(block, 0).await?;
        match flow {
            Flow::Return(value) => Ok(value),
            _ if self.routine.ret == Ty::VOID => Ok(Datum::Void),
            Flow::Next => {
                let message = "control reached end of function without RETURN";
                let context = format!("PL/pgSQL function {}", self.signature());
                Err(PgError::new("2F005", message).context(&context))
            }
            Flow::Exit(_) | Flow::Continue(_) => {
                let message = "EXIT cannot be used outside a loop, unless it has a label";
                Err(PgError::new("42601", message))
            }
        }
    }

    fn signature(&self) -> String {
        self.routine.signature().replace(", ", ",")
    }

    fn line(&self, line: usize, what: &str) -> String {
        format!("PL/pgSQL function {} line {line} at {what}", self.signature())
    }

    /// The value of an expression, as it is and with its type.
    async fn value(&mut self, fragment: &Fragment, line: &str) -> Result<(Datum, Ty)> {
        let gave = self.run(fragment, 2, line).await;
        let gave = gave.map_err(|Failed { error, early, .. }| {
            let queried = (early || !fragment.simple) && error.fields().query.is_none();
            let error = if queried { error.context(&fragment.called()) } else { error };
            error.context(line)
        })?;
        let wrong = match (gave.columns.len(), gave.rows.len()) {
            (1, 0 | 1) => None,
            (1, _) => Some(("21000", "query returned more than one row".to_owned())),
            (columns, _) => Some(("42601", format!("query returned {columns} columns"))),
        };
        if let Some((code, message)) = wrong {
            let query = format!("query: {}", fragment.text);
            return Err(PgError::new(code, message).context(&query).context(line));
        }
        let ty = gave.columns.first().copied().unwrap_or(Ty::TEXT);
        let datum = gave.rows.first().and_then(|row| row.first()).cloned();
        Ok((datum.unwrap_or_default(), ty))
    }

    /// Puts the value of an expression into a variable.
    async fn assign(&mut self, at: usize, fragment: &Fragment, line: &str) -> Result<()> {
        let (datum, from) = self.value(fragment, line).await?;
        self.put(at, datum, from).map_err(|error| {
            let assigned = fragment.part.start > 0;
            if assigned { fragment.converted(error) } else { error }.context(line)
        })
    }

    fn put(&mut self, at: usize, datum: Datum, from: Ty) -> Result<()> {
        let variable = &self.routine.variables()[at];
        self.values[at] = self.converted(datum, from, variable.ty, variable.typmod)?;
        Ok(())
    }

    async fn holds(&mut self, fragment: &Fragment, line: &str) -> Result<bool> {
        let (datum, from) = self.value(fragment, line).await?;
        let datum = self.converted(datum, from, Ty::BOOL, -1);
        Ok(datum.map_err(|error| error.context(line))?.as_bool() == Some(true))
    }

    /// A block, its handlers included.
    pub fn block<'s>(&'s mut self, block: &'s Block, line: usize) -> Boxed<'s, Flow> {
        Box::pin(async move {
            for (at, value, line) in &block.declared {
                self.values[*at] = Datum::Null;
                let line = format!(
                    "PL/pgSQL function {} line {line} during statement block local variable \
                     initialization",
                    self.signature()
                );
                if let Some(value) = value {
                    self.assign(*at, value, &line).await?;
                }
            }
            let flow = if block.handlers.is_empty() {
                self.acts(&block.acts).await?
            } else {
                self.guarded(block, line).await?
            };
            Ok(match flow {
                Flow::Exit(Some(label)) if Some(&label) == block.label.as_ref() => Flow::Next,
                other => other,
            })
        })
    }

    /// What the block did is taken back when one of its handlers takes over.
    async fn guarded(&mut self, block: &Block, _line: usize) -> Result<Flow> {
        let runner = self.runner;
        let pid = runner.pid;
        runner.with(|inner| {
            inner.db.savepoint(pid, "");
            Ok(())
        })?;
        let outcome = self.acts(&block.acts).await;
        runner.with(|inner| {
            if outcome.is_err() {
                inner.db.rollback_to(pid, "")?;
                inner.db.proc_mut(pid).granted = None;
                inner.db.proc_mut(pid).sleep_until = None;
            }
            inner.db.release_savepoint(pid, "")
        })?;
        let error = match outcome {
            Ok(flow) => return Ok(flow),
            Err(error) => error,
        };
        let meant = |handler: &&Handler| handler.conditions.iter().any(|c| means(c, error.code()));
        let Some(handler) = block.handlers.iter().find(meant).filter(|_| !error.is_fatal()) else {
            return Err(error);
        };
        if let Some((state, message)) = block.caught {
            self.values[state] = Datum::text(error.code());
            self.values[message] = Datum::text(&error.fields().message);
        }
        self.caught.push(error);
        let flow = self.acts(&handler.acts).await;
        self.caught.pop();
        flow
    }

    fn acts<'s>(&'s mut self, acts: &'s Acts) -> Boxed<'s, Flow> {
        Box::pin(async move {
            for (line, act) in acts {
                match self.act(*line, act).await? {
                    Flow::Next => {}
                    other => return Ok(other),
                }
            }
            Ok(Flow::Next)
        })
    }

    async fn act(&mut self, at: usize, act: &Act) -> Result<Flow> {
        match act {
            Act::Block(block) => return self.block(block, at).await,
            Act::If { arms, otherwise } => {
                let line = self.line(at, "IF");
                for (condition, acts) in arms {
                    if self.holds(condition, &line).await? {
                        return self.acts(acts).await;
                    }
                }
                return self.acts(otherwise).await;
            }
            Act::Loop { label, condition, acts } => {
                return self.repeat(at, label.as_ref(), condition.as_ref(), acts).await;
            }
            Act::Leave { label, condition, again } => {
                let line = self.line(at, if *again { "CONTINUE" } else { "EXIT" });
                if let Some(condition) = condition
                    && !self.holds(condition, &line).await?
                {
                    return Ok(Flow::Next);
                }
                let label = label.clone();
                return Ok(if *again { Flow::Continue(label) } else { Flow::Exit(label) });
            }
            Act::Return(value) => return self.give_back(at, value.as_ref()).await,
            Act::Assign(variable, value) => {
                let line = self.line(at, "assignment");
                self.assign(*variable, value, &line).await?;
            }
            Act::Raise(raise) => {
                let line = self.line(at, "RAISE");
                self.raise(raise, &line).await?;
            }
            Act::Perform(fragment) => {
                let line = self.line(at, "PERFORM");
                self.statement(fragment, None, &line).await?;
            }
            Act::Sql { fragment, into } => {
                let line = self.line(at, "SQL statement");
                self.statement(fragment, into.as_ref(), &line).await?;
            }
            Act::Nothing => {}
        }
        Ok(Flow::Next)
    }

    async fn give_back(&mut self, at: usize, value: Option<&Fragment>) -> Result<Flow> {
        let line = self.line(at, "RETURN");
        let ret = self.routine.ret;
        let Some(fragment) = value else { return Ok(Flow::Return(Datum::Void)) };
        let (datum, from) = self.value(fragment, &line).await?;
        let context = format!(
            "PL/pgSQL function {} while casting return value to function's return type",
            self.signature()
        );
        let datum = self.converted(datum, from, ret, -1);
        Ok(Flow::Return(datum.map_err(|error| error.context(&context))?))
    }

    async fn repeat(
        &mut self,
        at: usize,
        label: Option<&String>,
        condition: Option<&Fragment>,
        acts: &Acts,
    ) -> Result<Flow> {
        let line = self.line(at, "WHILE");
        let own = |wanted: &Option<String>| wanted.is_none() || wanted.as_ref() == label;
        loop {
            if let Some(condition) = condition
                && !self.holds(condition, &line).await?
            {
                return Ok(Flow::Next);
            }
            self.runner.breathe().await.map_err(|error| error.context(&line))?;
            match self.acts(acts).await? {
                Flow::Next => {}
                Flow::Continue(wanted) if own(&wanted) => {}
                Flow::Exit(wanted) if own(&wanted) => return Ok(Flow::Next),
                other => return Ok(other),
            }
        }
    }

    /// A statement of SQL: its first row goes to the variables of INTO.
    async fn statement(
        &mut self,
        fragment: &Fragment,
        into: Option<&crate::world::postgres::sql::IntoVariables>,
        line: &str,
    ) -> Result<()> {
        let most = match into {
            None => usize::MAX,
            Some(into) => 1 + usize::from(into.strict || !fragment.reads()),
        };
        let gave = self.run(fragment, most, line).await.map_err(|Failed { error, .. }| {
            if error.fields().query.is_some() {
                return error.context(line);
            }
            error.context(&fragment.called()).context(line)
        })?;
        if fragment.counts() {
            // FOUND is the first variable behind the arguments.
            self.values[self.routine.args.len()] = Datum::Bool(gave.count > 0);
        }
        let Some(into) = into else {
            let lost = !gave.columns.is_empty() && !fragment.is_perform;
            if lost {
                let hint = "If you want to discard the results of a SELECT, use PERFORM instead.";
                let error = PgError::new("42601", "query has no destination for result data");
                let error = if fragment.reads() { error.hint(hint) } else { error };
                return Err(error.context(line));
            }
            return Ok(());
        };
        if gave.rows.len() > 1 {
            let message = "query returned more than one row";
            let hint = "Make sure the query returns a single row, or use LIMIT 1.";
            return Err(PgError::new("P0003", message).hint(hint).context(line));
        }
        if gave.rows.is_empty() && into.strict {
            return Err(PgError::new("P0002", "query returned no rows").context(line));
        }
        for (place, variable) in into.variables.iter().enumerate() {
            let datum = gave.rows.first().and_then(|row| row.get(place)).cloned();
            let from = gave.columns.get(place).copied().unwrap_or(Ty::TEXT);
            let put = self.put(*variable, datum.unwrap_or_default(), from);
            put.map_err(|error| error.context(line))?;
        }
        Ok(())
    }

    async fn raise(&mut self, raise: &Raise, line: &str) -> Result<()> {
        if raise.level.is_empty() {
            return Err(self.caught.last().cloned().unwrap_or_else(|| {
                let message =
                    "RAISE without parameters cannot be used outside an exception handler";
                PgError::new("0Z002", message).context(line)
            }));
        }
        let mut message = None;
        if let Some(format) = &raise.format {
            let mut args = Vec::with_capacity(raise.args.len());
            for arg in &raise.args {
                let (datum, ty) = self.value(arg, line).await?;
                let null = datum.is_null();
                args.push(if null { "<NULL>".to_owned() } else { to_text(&datum, ty) });
            }
            message = Some(filled(format, args));
        }
        let (mut code, mut condition) = (raise.code.clone(), raise.condition.clone());
        let mut options: Vec<(&str, String)> = Vec::new();
        for (option, value) in &raise.options {
            let (datum, ty) = self.value(value, line).await?;
            if datum.is_null() {
                let message = "RAISE statement option cannot be null";
                return Err(PgError::new("22004", message).context(line));
            }
            let text = to_text(&datum, ty);
            let given = match option.as_str() {
                "errcode" => code.is_some(),
                "message" => message.is_some(),
                other => options.iter().any(|(known, _)| *known == other),
            };
            if given {
                let message = format!("RAISE option already specified: {}", option.to_uppercase());
                return Err(PgError::new("42601", message).context(line));
            }
            match option.as_str() {
                "errcode" => {
                    code = Some(sqlstate(&text).map_err(|error| error.context(line))?);
                    condition = Some(text);
                }
                "message" => message = Some(text),
                _ => options.push((option.as_str(), text)),
            }
        }
        let usual = match raise.level {
            "EXCEPTION" => "P0001",
            "WARNING" => "01000",
            _ => "00000",
        };
        // Success is no error.
        let code = code.filter(|code| raise.level != "EXCEPTION" || code != "00000");
        let code = code.unwrap_or_else(|| usual.to_owned());
        let message = message.or(condition).unwrap_or_else(|| code.clone());
        let mut error = PgError::new(code, message);
        for (option, text) in options {
            error = match option {
                "detail" => error.detail(text),
                "hint" => error.hint(text),
                "table" => error.said_table(&text),
                "column" => error.column(&text),
                _ => error.constraint(&text),
            };
        }
        let error = error.context(line);
        if raise.level == "EXCEPTION" { Err(error) } else { self.tell(raise.level, error) }
    }

    fn tell(&self, level: &'static str, notice: PgError) -> Result<()> {
        let notice = match &self.caller.context {
            Some(around) => notice.context(around),
            None => notice,
        };
        let pid = self.runner.pid;
        self.runner.with(|inner| {
            let proc = inner.db.proc_mut(pid);
            if proc.hears(level) {
                proc.notice(notice.severity(level));
            }
            Ok(())
        })
    }
}

/// The format with its places filled.
fn filled(format: &str, args: Vec<String>) -> String {
    let mut args = args.into_iter();
    let (mut out, mut chars) = (String::with_capacity(format.len()), format.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '%' if chars.peek() == Some(&'%') => {
                chars.next();
                out.push('%');
            }
            '%' => out.push_str(&args.next().unwrap_or_default()),
            c => out.push(c),
        }
    }
    out
}

fn sqlstate(text: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    if text.len() == 5 && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Ok(named(text)?.first().map_or_else(String::new, |code| (*code).to_owned()))
}
