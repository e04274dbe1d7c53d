//! Carries out what an execution asks for: each effect is handed to whoever does it.

use super::{ExecutionActor, Live, Msg};
use crate::map::{self, MapActor};
use crate::perform;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use skein_core::Effect;
use skein_model::{Command, NodeId};
use std::sync::Arc;

impl ExecutionActor {
    pub(super) async fn perform(
        &self,
        myself: &ActorRef<Msg>,
        live: &mut Live,
        effect: Effect,
    ) -> Result<(), ActorProcessingErr> {
        match effect {
            Effect::RunItems { node } => self.run_items(myself, live, node).await?,
            Effect::AssembleMap { node } => self.assemble_map(myself, live, node),
            Effect::Withdraw { node } => {
                if let Some(map) = live.maps.remove(&node) {
                    map.stop(None);
                }
                perform::withdraw(&self.ports, &live.execution, node);
            }
            Effect::ResolveInputs { node } if live.execution.is_recovered(&node) => {
                drop(myself.cast(Msg::Answered(Command::RecoverNode { node })));
            }
            Effect::ResolveInputs { node } => {
                perform::resolve_inputs(&self.ports, &live.execution, &node, myself.clone());
            }
            Effect::ResolveInside { node } => {
                perform::resolve_inside(&self.ports, &live.execution, &node, myself.clone());
            }
            Effect::CompileNodes { node, spec } => {
                perform::compile_nodes(&self.ports, &live.execution, node, spec, myself.clone());
            }
            Effect::RunChild { node, child } => {
                let trace = live.journal.trace;
                perform::run_child(&self.ports, &live.execution, (node, child), trace, myself.clone());
            }
            // The alarm rings, or somebody sends the signal.
            Effect::Wait { .. } => {}
            Effect::PassGate { node } => drop(myself.cast(Msg::Answered(Command::PassGate { node }))),
            Effect::LookUpCache { node, wait } => {
                perform::cache::look_up(&self.ports, &live.execution, &node, wait, myself.clone());
            }
            Effect::StoreCache { node } => {
                perform::cache::store(&self.ports, &live.execution, &node, myself.clone());
            }
            Effect::HoldReservation { node, key } => {
                perform::cache::hold(&self.ports, &live.execution, &node, key, myself);
            }
            Effect::ReleaseReservation { node } => {
                perform::cache::release(&self.ports, &live.execution, &node);
            }
            Effect::RunAttempt { node, attempt, not_before, started, on_demand } => {
                let trace = live.journal.trace;
                let wanted = perform::Wanted { node, attempt, not_before, started, on_demand, trace };
                perform::run_attempt(&self.ports, &live.execution, wanted, myself.clone());
            }
            Effect::ResolveOutputs => perform::resolve_outputs(&self.ports, &live.execution, myself.clone()),
        }
        Ok(())
    }

    async fn run_items(
        &self,
        myself: &ActorRef<Msg>,
        live: &mut Live,
        node: NodeId,
    ) -> Result<(), ActorProcessingErr> {
        let args = map::Args::of(&live.execution, &node, live.journal.trace, myself.clone());
        let Some(mut args) = args else { return Ok(()) };
        args.adopt(&self.ports)?;
        let actor = MapActor { ports: Arc::clone(&self.ports) };
        let (map, _) = Actor::spawn_linked(None, actor, args, myself.get_cell()).await?;
        live.maps.insert(node, map);
        Ok(())
    }

    fn assemble_map(&self, myself: &ActorRef<Msg>, live: &mut Live, node: NodeId) {
        let assembly = perform::Assembly::of(&live.execution, &node);
        let (Some(assembly), to) = (assembly, myself.clone()) else { return };
        let ports = Arc::clone(&self.ports);
        let finish = map::Msg::Finish(Box::new(move || perform::assemble_map(&ports, assembly, to)));
        // Behind all that it was told before; without an actor nothing is on the way.
        let unsent = match live.maps.remove(&node) {
            Some(map) => map.cast(finish).err().and_then(|error| match error {
                ractor::MessagingErr::SendErr(unsent) => Some(unsent),
                ractor::MessagingErr::ChannelClosed | ractor::MessagingErr::InvalidActorType => None,
            }),
            None => Some(finish),
        };
        if let Some(map::Msg::Finish(finish)) = unsent {
            finish();
        }
    }
}
