//! Brings an attempt to the point where user code runs, in the kind of process that its task asks for.

use super::{Host, direct};
use crate::child::Child;
use crate::failure;
use crate::machine::{Machine, Prepared};
use crate::nest::Nest;
use crate::plain::{Interface, Plain};
use crate::warm::{Warm, within};
use bytes::Bytes;
use serde::Serialize;
use skein_model::{Failure, Isolation, Work};
use skein_protocol::messages::{AttemptJob, Single, SingleJob, Started};
use std::collections::BTreeMap;
use std::io;

/// The most of an attempt's inputs that is sent to its process, in bytes. Larger ones are written to a file, which is read
/// bit by bit.
const SENT_BYTES_MAX: usize = 1024 * 1024;

/// An attempt whose user code runs, or whose process that was to run it is gone.
pub(super) struct Begun {
    pub prepared: Prepared,
    /// What the task gets and gives, when all of it is plain.
    pub interface: Option<Interface>,
    pub host: Host,
}

/// Prepares an attempt and hands it to a process.
///
/// # Errors
/// What the user is told when that cannot be done.
pub(super) async fn begin(machine: &Machine, work: &Work) -> Result<Begun, Failure> {
    let mut prepared = machine.prepare(work).await?;
    let interface = Interface::of_task(&prepared.template);
    let is_single = prepared.line.is_single();
    let mut host = match work.isolation {
        _ if prepared.line.is_native() => {
            Some(Loaded::kept(machine, work, &prepared, interface.as_ref()).await?)
        }
        Some(Isolation::Reuse) if is_single => {
            Some(Loaded::kept(machine, work, &prepared, interface.as_ref()).await?)
        }
        // A driver that was asked for its devices before the fork, by a module that is imported, answers none for ever.
        Some(Isolation::Fork) | None if is_single && work.resources.gpus() == 0 => {
            Loaded::forked(machine, work, &prepared, interface.as_ref()).await?
        }
        Some(Isolation::Fresh | Isolation::Reuse | Isolation::Fork) | None => None,
    };
    let values = host
        .as_ref()
        .filter(|loaded| loaded.is_fast)
        .and(interface.as_ref())
        .and_then(|interface| direct::values(&prepared.inputs, interface));
    if values.is_none() {
        let inputs = prepared.folder.inputs();
        if host.is_none() || !travels(&prepared.inputs) {
            let written = tokio::fs::write(&inputs, &prepared.inputs).await;
            written.map_err(|error| failure::not_started(&error))?;
        }
        prepared.line.redirect(&work.input_uri, &inputs.display().to_string());
    }
    prepared.line.redirect(&work.output_prefix, &prepared.folder.outputs().display().to_string());
    let host = match host.take() {
        Some(loaded) => loaded.begin(machine, work, &prepared, values).await?,
        None => Host::Own(alone(machine, work, &prepared).await?),
    };
    Ok(Begun { prepared, interface, host })
}

/// Says whether inputs are sent along, rather than written to a file.
fn travels(inputs: &Bytes) -> bool {
    inputs.len() <= SENT_BYTES_MAX
}

/// A process that has the task imported.
struct Loaded {
    host: Host,
    /// Whether its function can be called directly.
    is_fast: bool,
}

impl Loaded {
    async fn kept(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
    ) -> Result<Self, Failure> {
        let warm = Warm::ready(machine, work, prepared, interface).await?;
        Ok(Self { is_fast: warm.is_fast, host: Host::Shared(Box::new(warm)) })
    }

    /// Answers none when the task is not to be forked from where it was imported.
    async fn forked(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
    ) -> Result<Option<Self>, Failure> {
        let Some(nest) = Nest::of(machine, work, prepared, interface).await? else { return Ok(None) };
        machine.make_room(work).await;
        let child = prepared.interpreter.fork_from(nest.zygote(), &prepared.folder.progress());
        let child = child.map_err(|error| failure::not_started(&error))?;
        Ok(Some(Self { is_fast: nest.is_fast, host: Host::Own(child) }))
    }

    async fn begin(
        mut self,
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        values: Option<BTreeMap<String, Plain>>,
    ) -> Result<Host, Failure> {
        let mut setting = machine.setting(work, prepared, &prepared.folder);
        if let Host::Shared(warm) = &self.host
            && let Some(home) = warm.home()
        {
            setting.cwd = home.work().display().to_string();
        }
        let setting = machine.confine(self.host.child_mut(), work, setting)?;
        let outputs = prepared.folder.outputs().display().to_string();
        let publish = machine.blobs.local_path(&work.output_prefix).map(|path| path.display().to_string());
        let inputs = (values.is_none() && travels(&prepared.inputs)).then(|| prepared.inputs.clone());
        let single = Single {
            setting,
            outputs,
            publish,
            prefix: work.output_prefix.clone(),
            values,
            inputs,
            once: matches!(self.host, Host::Own(_)),
            job: self.host.job(),
        };
        let child = self.host.child_mut();
        child.capture.begin(&work.output_prefix).await;
        give(child, work, &SingleJob { single }).await?;
        Ok(self.host)
    }
}

/// Gives a child its job, in the time that the attempt has. One that is gone already is found by how it ended.
async fn give<T: Serialize>(child: &mut Child, work: &Work, job: &T) -> Result<(), Failure> {
    match within(work.timeout, child.send(job)).await {
        None => Err(failure::timed_out(work.timeout.unwrap_or_default())),
        Some(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
            Err(failure::invalid(format!("the inputs of the attempt are {error}")))
        }
        Some(_) => Ok(()),
    }
}

/// Has a child of the interpreter run the command line by itself.
async fn alone(machine: &Machine, work: &Work, prepared: &Prepared) -> Result<Child, Failure> {
    machine.make_room(work).await;
    let folder = &prepared.folder;
    let setting = machine.setting(work, prepared, folder);
    let forked = prepared.interpreter.fork(&folder.progress()).await;
    let mut child = forked.map_err(|error| failure::not_started(&error))?;
    let setting = machine.confine(&mut child, work, setting)?;
    child.capture.begin(&work.output_prefix).await;
    let outputs = folder.outputs().display().to_string();
    let publish = machine.blobs.local_path(&work.output_prefix).map(|path| path.display().to_string());
    let job = AttemptJob {
        attempt: setting,
        outputs,
        publish,
        prefix: work.output_prefix.clone(),
        fresh: work.isolation == Some(Isolation::Fresh),
        room: None,
    };
    give(&mut child, work, &job).await?;
    match within(work.timeout, child.receive::<Started>()).await {
        None => Err(failure::timed_out(work.timeout.unwrap_or_default())),
        Some(_) => Ok(child),
    }
}
