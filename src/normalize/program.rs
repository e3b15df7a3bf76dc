//! A mapping program: VRL compiled against the payload's schema, run over one payload.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vrl::compiler::state::{ExternalEnv, RuntimeState};
use vrl::compiler::{CompileConfig, Context, ExpressionError, Program as Compiled, TargetValue, TimeZone};
use vrl::diagnostic::Diagnostic;
use vrl::value::kind::Collection;
use vrl::value::{Kind, Secrets, Value};

use crate::config::binding::Binding;
use crate::config::report::{Report, line_and_column};
use crate::normalize::analysis;
use crate::normalize::functions::{self, Findings, Known, Run};
use crate::normalize::shape::Shape;

/// A compiled and checked mapping.
#[derive(Debug)]
pub struct Program {
    file: PathBuf,
    /// To name the line of a failure.
    source: String,
    compiled: Compiled,
}

/// A program that failed although its payload has no problem: a mistake of the mapping that no check found.
#[derive(Debug, Clone, thiserror::Error)]
#[error("mapping `{}`: {message}", file.display())]
pub struct Defect {
    file: PathBuf,
    message: String,
}

impl Defect {
    pub fn new(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self { file: file.into(), message: message.into() }
    }
}

impl Program {
    /// Compiles `file`, whose input is of the kind `payload` and whose result must have the `shape`.
    ///
    /// # Errors
    /// Everything wrong with it, each with its line: what does not compile, fields the schema does not have, members
    /// the result lacks or has too many.
    pub fn load(file: &Path, payload: &Kind, shape: &Shape, known: &Known) -> Result<Self, Report> {
        match fs::read_to_string(file) {
            Ok(source) => Self::compile(file, &source, payload, shape, known),
            Err(error) => {
                let mut report = Report::default();
                report.add(file, 0, 0, format!("cannot be read: {error}"));
                Err(report)
            }
        }
    }

    /// [`Program::load`] for a source already read from `file`.
    ///
    /// # Errors
    /// As [`Program::load`].
    pub fn compile(file: &Path, source: &str, payload: &Kind, shape: &Shape, known: &Known) -> Result<Self, Report> {
        let mut report = Report::default();
        analysis::check_fields(file, source, payload, known, &mut report);
        let mut config = CompileConfig::default();
        config.set_read_only();
        let environment = ExternalEnv::new_with_kind(payload.clone(), Kind::object(Collection::empty()));
        match vrl::compiler::compile_with_external(source, &functions::all(known), &environment, config) {
            Ok(result) => {
                for warning in result.warnings.iter() {
                    add(&mut report, file, source, warning);
                }
                // A path that leads nowhere is null in the result: once is enough.
                if report.is_empty() {
                    analysis::check_result(file, source, &result.program, shape, &mut report);
                }
                let program = Self { file: file.to_owned(), source: source.to_owned(), compiled: result.program };
                report.into_result().map(|()| program)
            }
            Err(errors) => {
                for error in errors.iter() {
                    add(&mut report, file, source, error);
                }
                Err(report)
            }
        }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Maps `payload`, which the schema has accepted.
    ///
    /// The result means nothing if there are problems.
    ///
    /// # Errors
    /// [`Defect`] if the program fails on a payload without problems.
    pub fn run(&self, payload: Value, binding: &Arc<Binding>) -> Result<(Value, Findings), Defect> {
        let mut target = TargetValue { value: payload, metadata: Value::Null, secrets: Secrets::default() };
        let mut state = RuntimeState::default();
        let zone = TimeZone::Local;
        let (result, findings) = Run::of(binding, || {
            let mut context = Context::new(&mut target, &mut state, &zone);
            self.compiled.resolve(&mut context)
        });
        match result {
            Ok(value) => Ok((value, findings)),
            // What is missing where a problem was found may well be what made it fail.
            Err(_) if !findings.problems.is_empty() => Ok((Value::Null, findings)),
            Err(error) => Err(self.failure(&error)),
        }
    }

    // Says where, not what: the message of a failed expression may repeat the payload.
    fn failure(&self, error: &ExpressionError) -> Defect {
        let place = match error {
            ExpressionError::Error { labels, .. } => labels.first().map(|label| label.span.start()),
            ExpressionError::Abort { span, .. } | ExpressionError::Fallible { span } => Some(span.start()),
            _ => None,
        };
        let (line, column) = place.map_or((0, 0), |place| line_and_column(&self.source, place));
        Defect::new(&self.file, format!("line {line} column {column}: the expression failed"))
    }
}

fn add(report: &mut Report, file: &Path, source: &str, diagnostic: &Diagnostic) {
    let primary = diagnostic.labels.iter().find(|label| label.primary).or_else(|| diagnostic.labels.first());
    let (line, column) = primary.map_or((0, 0), |label| line_and_column(source, label.span.start()));
    let mut message = diagnostic.message.clone();
    for label in &diagnostic.labels {
        if !message.contains(&label.message) {
            message.push_str("; ");
            message.push_str(&label.message);
        }
    }
    report.add(file, line, column, message);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::canonical::rejection::Code;
    use crate::config::reader::Document;
    use crate::normalize::functions::as_text;
    use crate::normalize::shape::Member;
    use crate::normalize::tables::{Table, Tables};

    const SHAPE: Shape = Shape::Object(&[
        Member { name: "id", shape: Shape::Text, required: true },
        Member { name: "notes", shape: Shape::Text, required: false },
        Member {
            name: "lines",
            shape: Shape::List(&Shape::Object(&[Member { name: "minutes", shape: Shape::Integer, required: false }])),
            required: false,
        },
    ]);

    fn object(members: &[(&str, Kind)]) -> Kind {
        let known: BTreeMap<_, _> = members.iter().map(|(name, kind)| ((*name).into(), kind.clone())).collect();
        Kind::object(Collection::from(known))
    }

    fn payload() -> Kind {
        let number = object(&[("$number", Kind::bytes())]);
        let line = object(&[("code", Kind::bytes()), ("size", number.or_undefined())]);
        object(&[
            ("order_id", Kind::bytes()),
            ("notes", Kind::bytes().or_undefined()),
            ("line_items", Kind::array(Collection::from_unknown(line))),
        ])
    }

    fn known() -> Known {
        let text = "[columns]\nminutes = \"integer\"\n[rows]\nKITCHEN = { minutes = 480 }\n";
        let document = Document::parse("services.toml", text).expect("valid TOML");
        let table = Table::read("services", &document).expect("a correct table");
        Known { tables: Arc::new(Tables::from_iter([table])), lists: Arc::new(vec!["bu_codes".to_owned()]) }
    }

    fn compile(source: &str) -> Result<Program, Report> {
        Program::compile(Path::new("order.vrl"), source, &payload(), &SHAPE, &known())
    }

    fn run(source: &str, payload: Value) -> (Value, Findings) {
        let program = compile(source).unwrap_or_else(|report| panic!("{report}"));
        program.run(payload, &Arc::new(crate::normalize::tests::binding())).expect("the mapping has no defect")
    }

    fn number(literal: &'static str) -> Value {
        [("$number".into(), Value::Bytes(literal.into()))].into_iter().collect::<vrl::value::ObjectMap>().into()
    }

    #[test]
    fn every_mistake_of_a_mapping_is_reported_with_its_place() {
        for (source, expected) in [
            (
                "{ \"id\": order_id(.order_id), \"notes\": .nots }",
                "1:39: no field `nots` in the schema, did you mean `notes`?",
            ),
            ("{ \"id\": order_id(.order_di) }", "1:18: no field `order_di` in the schema, did you mean `order_id`?"),
            (
                "{ \"id\": order_id(.order_id), \"lines\": each(.line_items) -> |_i, line| { { \"minutes\": line.szie } } }",
                "1:86: no field `szie` in the schema, did you mean `size`?",
            ),
            (
                "{ \"id\": order_id(.order_id), \"lines\": each(.line_items) -> |_i, line| {\n  row = lookup(line.code, \"services\")\n  { \"minutes\": row.minuts } } }",
                "3:16: no field `minuts` in the schema, did you mean `minutes`?",
            ),
            (
                "{ \"id\": order_id(.order_id), \"lines\": each_pair(.line_items, .line_items) -> |_i, _a, b| { { \"minutes\": integer(b.szie) } } }",
                "no field `szie` in the schema, did you mean `size`?",
            ),
            (
                "{ \"id\": order_id(.order_id), \"lines\": each_pair(.line_items, .line_itmes) -> |_i, _a, b| { { \"minutes\": integer(b.size) } } }",
                "no field `line_itmes` in the schema, did you mean `line_items`?",
            ),
            ("{ \"id\": order_id(.notes) }", "1:3: `id` may be null, but the result needs it"),
            ("{ \"di\": order_id(.order_id) }", "1:3: `di` is no member of the result, did you mean `id`?"),
            ("{ \"notes\": text(.notes, \"notes\") }", "1:1: `id` is missing in the result"),
            ("{ \"id\": 3 }", "1:3: `id`: expected text, found integer"),
            (
                "{ \"id\": order_id(.order_id), \"notes\": null }",
                "1:30: `notes` is always null: leave it out, or give it a value",
            ),
            ("{ \"id\": text(.order_id, \"tale\") }", "no kind of text `tale`"),
            ("{ \"id\": lookup(.order_id, \"service\") }", "no table `service`, expected one of: services"),
            ("{ \"id\": listed(.order_id, \"codes\") }", "no binding parameter `codes` of type list"),
            ("x = order_id(.order_id)\n{ \"id\": text(x, \"code\") }", "2:14: `x` is no element of an `each`"),
            ("{ \"id\": text(upper(.order_id), \"code\") }", "`field` is computed: name the field to blame with `at:`"),
            ("{ \"id\": text(.line_items, \"code\") }", "`text` takes text, the field is"),
            ("{ \"id\": order_id(.order_id), \"id\": order_id(.order_id) }", "1:30: `id` is written twice"),
            (".order_id = \"x\"\n{ \"id\": order_id(.order_id) }", "1:1: mutation of read-only value"),
            ("x = 1\n{ \"id\": order_id(.order_id) }", "1:1: unused variable `x`"),
            ("{ \"id\": now() }", "1:9: call to undefined function"),
            ("{ \"id\": order_id(.order_id) ", "syntax error"),
            ("{ \"id\": order_id!(.order_id) }", "can't abort infallible function"),
        ] {
            let report = compile(source).expect_err(source);

            assert!(report.to_string().contains(expected), "{source}\nexpected {expected}\nfound {report}");
        }
    }

    #[test]
    fn all_problems_are_found_in_one_run_with_their_pointers() {
        let source = "{ \"id\": order_id(.order_id), \"lines\": each(.line_items) -> |_index, line| {\n\
            row = lookup(line.code, \"services\")\n\
            { \"minutes\": first_of([integer(line.size, min: 1, max: 9), row.minutes]) }\n} }";
        let line = |code: &str, size: Value| -> Value {
            let members = [("code".into(), Value::from(code)), ("size".into(), size)];
            members.into_iter().collect::<vrl::value::ObjectMap>().into()
        };
        let lines = vec![line("KITCHEN", Value::Null), line("SHED", number("10")), line("KITCHEN", number("7"))];
        let payload = [("order_id".into(), Value::from("a b")), ("line_items".into(), Value::Array(lines))];

        let (result, found) = run(source, payload.into_iter().collect::<vrl::value::ObjectMap>().into());

        let problems: Vec<_> = found.problems.iter().map(|problem| (problem.code, problem.field.as_str())).collect();
        assert_eq!(
            problems,
            [
                (Code::InvalidFormat, "/order_id"),
                (Code::UnknownCode, "/line_items/1/code"),
                (Code::InvalidFormat, "/line_items/1/size"),
            ]
        );
        let minutes = |at: usize| {
            result.as_object()?.get("lines")?.as_array()?.get(at)?.as_object()?.get("minutes")?.as_integer()
        };
        assert_eq!((minutes(0), minutes(2)), (Some(480), Some(7)));
    }

    #[test]
    fn a_payload_cannot_make_a_correct_mapping_fail() {
        let source = "{ \"id\": join([order_id(.order_id), text(.notes, \"notes\")], \"-\") }";

        let (result, found) = run(source, Value::Object(vrl::value::ObjectMap::new()));

        assert_eq!(found.problems.len(), 1);
        assert!(result.as_object().and_then(|result| result.get("id")).is_some_and(|id| as_text(id).is_some()));
    }
}
