//! What is written to whoever is told of an end.

use skein_model::EntityKind;
use skein_model::notification::Ended;

/// What stands for the execution's project, domain and name in the pattern of an address.
const PARTS: [&str; 3] = ["{project}", "{domain}", "{name}"];

/// Answers the word for the phase of an end.
pub fn phase(ended: &Ended) -> &'static str {
    ended.phase.as_proto().as_str_name()
}

/// Answers where more is to be seen of an execution: `pattern` with `{project}`, `{domain}` and `{name}` filled in.
pub fn link(pattern: &str, ended: &Ended) -> String {
    let id = &ended.execution;
    let values = [&id.project, &id.domain, &id.name];
    PARTS.iter().zip(values).fold(pattern.to_owned(), |text, (part, value)| text.replace(part, value))
}

/// Answers the subject of a mail: one line.
pub fn subject(ended: &Ended) -> String {
    format!("{}: {} ({})", phase(ended), ended.execution, ended.workflow.name)
}

/// Answers the text of a mail.
pub fn body(ended: &Ended, link: &str) -> String {
    let mut lines = vec![
        format!("Execution {} ended in phase {}.", ended.execution, phase(ended)),
        String::new(),
        format!("{}: {} {}", what(ended), ended.launched.name, ended.launched.version),
        format!("workflow: {} {}", ended.workflow.name, ended.workflow.version),
        format!("see: {link}"),
    ];
    if !ended.code.is_empty() {
        lines.extend([String::new(), format!("{}:", ended.code), ended.message.trim().to_owned()]);
    }
    lines.join("\n") + "\n"
}

/// Answers the text of a message to Slack, in its marks.
pub fn slack(ended: &Ended, link: &str) -> String {
    let head = format!(
        "*{}* <{}|{}> ({})",
        phase(ended),
        escaped(link),
        escaped(&ended.execution.to_string()),
        escaped(&ended.workflow.name)
    );
    if ended.code.is_empty() {
        return head;
    }
    // What ends a block of code has to be no end of this one.
    let message = escaped(ended.message.trim()).replace("```", "'''");
    format!("{head}\n{}\n```{message}```", escaped(&ended.code))
}

const fn what(ended: &Ended) -> &'static str {
    match ended.launched.kind {
        EntityKind::Task => "task",
        EntityKind::Workflow | EntityKind::LaunchPlan => "launch plan",
    }
}

/// Slack reads these three as marks of its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
