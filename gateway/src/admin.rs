//! The methods of AdminService: which function serves which.

use crate::error::ApiError;
use crate::shared::Shared;
use crate::{
    attributes, descriptions, executions, launch_plans, misc, named_entities, nodes, projects,
    task_executions, tasks, workflows,
};
use skein_idl::flyteidl::admin::*;
use skein_idl::flyteidl::service::admin_service_server::AdminService;
use skein_model::EntityKind;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Serves AdminService.
pub(crate) struct Admin(pub(crate) Arc<Shared>);

type Answer<T> = Result<Response<T>, Status>;

/// Makes a gRPC answer of a handler's.
pub(crate) fn answer<T>(result: Result<T, ApiError>) -> Answer<T> {
    Ok(Response::new(result?))
}

fn not_here<T>(what: &str) -> Answer<T> {
    answer(Err(ApiError::Unimplemented(what.to_owned())))
}

/// Events of engines come in through the log here.
const NO_EVENTS: &str = "events are not taken over gRPC: the engine of this server writes them into its log";

#[tonic::async_trait]
impl AdminService for Admin {
    async fn create_task(&self, request: Request<TaskCreateRequest>) -> Answer<TaskCreateResponse> {
        answer(tasks::create(&self.0, request.into_inner()).await)
    }

    async fn get_task(&self, request: Request<ObjectGetRequest>) -> Answer<Task> {
        answer(tasks::get(&self.0, request.into_inner()).await)
    }

    async fn list_task_ids(
        &self,
        request: Request<NamedEntityIdentifierListRequest>,
    ) -> Answer<NamedEntityIdentifierList> {
        answer(named_entities::list_ids(&self.0, EntityKind::Task, request.into_inner()).await)
    }

    async fn list_tasks(&self, request: Request<ResourceListRequest>) -> Answer<TaskList> {
        answer(tasks::list(&self.0, request.into_inner()).await)
    }

    async fn create_workflow(
        &self,
        request: Request<WorkflowCreateRequest>,
    ) -> Answer<WorkflowCreateResponse> {
        answer(workflows::create(&self.0, request.into_inner()).await)
    }

    async fn get_workflow(&self, request: Request<ObjectGetRequest>) -> Answer<Workflow> {
        answer(workflows::get(&self.0, request.into_inner()).await)
    }

    async fn list_workflow_ids(
        &self,
        request: Request<NamedEntityIdentifierListRequest>,
    ) -> Answer<NamedEntityIdentifierList> {
        answer(named_entities::list_ids(&self.0, EntityKind::Workflow, request.into_inner()).await)
    }

    async fn list_workflows(&self, request: Request<ResourceListRequest>) -> Answer<WorkflowList> {
        answer(workflows::list(&self.0, request.into_inner()).await)
    }

    async fn create_launch_plan(
        &self,
        request: Request<LaunchPlanCreateRequest>,
    ) -> Answer<LaunchPlanCreateResponse> {
        answer(launch_plans::create(&self.0, request.into_inner()).await)
    }

    async fn get_launch_plan(&self, request: Request<ObjectGetRequest>) -> Answer<LaunchPlan> {
        answer(launch_plans::get(&self.0, request.into_inner()).await)
    }

    async fn get_active_launch_plan(&self, request: Request<ActiveLaunchPlanRequest>) -> Answer<LaunchPlan> {
        answer(launch_plans::get_active(&self.0, request.into_inner()).await)
    }

    async fn list_active_launch_plans(
        &self,
        request: Request<ActiveLaunchPlanListRequest>,
    ) -> Answer<LaunchPlanList> {
        answer(launch_plans::list_active(&self.0, request.into_inner()).await)
    }

    async fn list_launch_plan_ids(
        &self,
        request: Request<NamedEntityIdentifierListRequest>,
    ) -> Answer<NamedEntityIdentifierList> {
        answer(named_entities::list_ids(&self.0, EntityKind::LaunchPlan, request.into_inner()).await)
    }

    async fn list_launch_plans(&self, request: Request<ResourceListRequest>) -> Answer<LaunchPlanList> {
        answer(launch_plans::list(&self.0, request.into_inner()).await)
    }

    async fn update_launch_plan(
        &self,
        request: Request<LaunchPlanUpdateRequest>,
    ) -> Answer<LaunchPlanUpdateResponse> {
        answer(launch_plans::update(&self.0, request.into_inner()).await)
    }

    async fn create_execution(
        &self,
        request: Request<ExecutionCreateRequest>,
    ) -> Answer<ExecutionCreateResponse> {
        answer(Box::pin(executions::create(&self.0, request.into_inner().into())).await)
    }

    async fn relaunch_execution(
        &self,
        request: Request<ExecutionRelaunchRequest>,
    ) -> Answer<ExecutionCreateResponse> {
        answer(Box::pin(executions::relaunch(&self.0, request.into_inner())).await)
    }

    async fn recover_execution(
        &self,
        request: Request<ExecutionRecoverRequest>,
    ) -> Answer<ExecutionCreateResponse> {
        answer(Box::pin(executions::recover(&self.0, request.into_inner())).await)
    }

    async fn get_execution(&self, request: Request<WorkflowExecutionGetRequest>) -> Answer<Execution> {
        answer(executions::get(&self.0, request.into_inner()).await)
    }

    async fn update_execution(
        &self,
        request: Request<ExecutionUpdateRequest>,
    ) -> Answer<ExecutionUpdateResponse> {
        answer(executions::archive(&self.0, request.into_inner()).await)
    }

    async fn get_execution_data(
        &self,
        request: Request<WorkflowExecutionGetDataRequest>,
    ) -> Answer<WorkflowExecutionGetDataResponse> {
        answer(executions::data(&self.0, request.into_inner()).await)
    }

    async fn list_executions(&self, request: Request<ResourceListRequest>) -> Answer<ExecutionList> {
        answer(executions::list(&self.0, request.into_inner()).await)
    }

    async fn terminate_execution(
        &self,
        request: Request<ExecutionTerminateRequest>,
    ) -> Answer<ExecutionTerminateResponse> {
        answer(executions::terminate(&self.0, request.into_inner()).await)
    }

    async fn get_node_execution(&self, request: Request<NodeExecutionGetRequest>) -> Answer<NodeExecution> {
        answer(nodes::get(&self.0, request.into_inner()).await)
    }

    async fn get_dynamic_node_workflow(
        &self,
        request: Request<GetDynamicNodeWorkflowRequest>,
    ) -> Answer<DynamicNodeWorkflowResponse> {
        answer(nodes::dynamic_workflow(&self.0, request.into_inner()).await)
    }

    async fn list_node_executions(
        &self,
        request: Request<NodeExecutionListRequest>,
    ) -> Answer<NodeExecutionList> {
        answer(nodes::list(&self.0, request.into_inner()).await)
    }

    async fn list_node_executions_for_task(
        &self,
        request: Request<NodeExecutionForTaskListRequest>,
    ) -> Answer<NodeExecutionList> {
        answer(nodes::list_for_task(&self.0, request.into_inner()).await)
    }

    async fn get_node_execution_data(
        &self,
        request: Request<NodeExecutionGetDataRequest>,
    ) -> Answer<NodeExecutionGetDataResponse> {
        answer(nodes::data(&self.0, request.into_inner()).await)
    }

    async fn register_project(
        &self,
        request: Request<ProjectRegisterRequest>,
    ) -> Answer<ProjectRegisterResponse> {
        answer(projects::register(&self.0, request.into_inner()).await)
    }

    async fn update_project(&self, request: Request<Project>) -> Answer<ProjectUpdateResponse> {
        answer(projects::update(&self.0, request.into_inner()).await)
    }

    async fn get_project(&self, request: Request<ProjectGetRequest>) -> Answer<Project> {
        answer(projects::get(&self.0, request.into_inner()).await)
    }

    async fn list_projects(&self, request: Request<ProjectListRequest>) -> Answer<Projects> {
        answer(projects::list(&self.0, request.into_inner()).await)
    }

    async fn get_domains(&self, _: Request<GetDomainRequest>) -> Answer<GetDomainsResponse> {
        answer(Ok(GetDomainsResponse { domains: projects::domains() }))
    }

    async fn create_workflow_event(
        &self,
        _: Request<WorkflowExecutionEventRequest>,
    ) -> Answer<WorkflowExecutionEventResponse> {
        not_here(NO_EVENTS)
    }

    async fn create_node_event(
        &self,
        _: Request<NodeExecutionEventRequest>,
    ) -> Answer<NodeExecutionEventResponse> {
        not_here(NO_EVENTS)
    }

    async fn create_task_event(
        &self,
        _: Request<TaskExecutionEventRequest>,
    ) -> Answer<TaskExecutionEventResponse> {
        not_here(NO_EVENTS)
    }

    async fn get_task_execution(&self, request: Request<TaskExecutionGetRequest>) -> Answer<TaskExecution> {
        answer(task_executions::get(&self.0, request.into_inner()).await)
    }

    async fn list_task_executions(
        &self,
        request: Request<TaskExecutionListRequest>,
    ) -> Answer<TaskExecutionList> {
        answer(task_executions::list(&self.0, request.into_inner()).await)
    }

    async fn get_task_execution_data(
        &self,
        request: Request<TaskExecutionGetDataRequest>,
    ) -> Answer<TaskExecutionGetDataResponse> {
        answer(task_executions::data(&self.0, request.into_inner()).await)
    }

    async fn update_project_domain_attributes(
        &self,
        request: Request<ProjectDomainAttributesUpdateRequest>,
    ) -> Answer<ProjectDomainAttributesUpdateResponse> {
        answer(attributes::update_project_domain(&self.0, request.into_inner()).await)
    }

    async fn get_project_domain_attributes(
        &self,
        request: Request<ProjectDomainAttributesGetRequest>,
    ) -> Answer<ProjectDomainAttributesGetResponse> {
        answer(attributes::get_project_domain(&self.0, request.into_inner()).await)
    }

    async fn delete_project_domain_attributes(
        &self,
        request: Request<ProjectDomainAttributesDeleteRequest>,
    ) -> Answer<ProjectDomainAttributesDeleteResponse> {
        answer(attributes::delete_project_domain(&self.0, request.into_inner()).await)
    }

    async fn update_project_attributes(
        &self,
        request: Request<ProjectAttributesUpdateRequest>,
    ) -> Answer<ProjectAttributesUpdateResponse> {
        answer(attributes::update_project(&self.0, request.into_inner()).await)
    }

    async fn get_project_attributes(
        &self,
        request: Request<ProjectAttributesGetRequest>,
    ) -> Answer<ProjectAttributesGetResponse> {
        answer(attributes::get_project(&self.0, request.into_inner()).await)
    }

    async fn delete_project_attributes(
        &self,
        request: Request<ProjectAttributesDeleteRequest>,
    ) -> Answer<ProjectAttributesDeleteResponse> {
        answer(attributes::delete_project(&self.0, request.into_inner()).await)
    }

    async fn update_workflow_attributes(
        &self,
        request: Request<WorkflowAttributesUpdateRequest>,
    ) -> Answer<WorkflowAttributesUpdateResponse> {
        answer(attributes::update_workflow(&self.0, request.into_inner()).await)
    }

    async fn get_workflow_attributes(
        &self,
        request: Request<WorkflowAttributesGetRequest>,
    ) -> Answer<WorkflowAttributesGetResponse> {
        answer(attributes::get_workflow(&self.0, request.into_inner()).await)
    }

    async fn delete_workflow_attributes(
        &self,
        request: Request<WorkflowAttributesDeleteRequest>,
    ) -> Answer<WorkflowAttributesDeleteResponse> {
        answer(attributes::delete_workflow(&self.0, request.into_inner()).await)
    }

    async fn list_matchable_attributes(
        &self,
        request: Request<ListMatchableAttributesRequest>,
    ) -> Answer<ListMatchableAttributesResponse> {
        answer(attributes::list(&self.0, request.into_inner()).await)
    }

    async fn list_named_entities(&self, request: Request<NamedEntityListRequest>) -> Answer<NamedEntityList> {
        answer(named_entities::list(&self.0, request.into_inner()).await)
    }

    async fn get_named_entity(&self, request: Request<NamedEntityGetRequest>) -> Answer<NamedEntity> {
        answer(named_entities::get(&self.0, request.into_inner()).await)
    }

    async fn update_named_entity(
        &self,
        request: Request<NamedEntityUpdateRequest>,
    ) -> Answer<NamedEntityUpdateResponse> {
        answer(named_entities::update(&self.0, request.into_inner()).await)
    }

    async fn get_version(&self, _: Request<GetVersionRequest>) -> Answer<GetVersionResponse> {
        answer(Ok(misc::version()))
    }

    async fn get_description_entity(&self, request: Request<ObjectGetRequest>) -> Answer<DescriptionEntity> {
        answer(descriptions::get(&self.0, request.into_inner()).await)
    }

    async fn list_description_entities(
        &self,
        request: Request<DescriptionEntityListRequest>,
    ) -> Answer<DescriptionEntityList> {
        answer(descriptions::list(&self.0, request.into_inner()).await)
    }

    async fn get_execution_metrics(
        &self,
        request: Request<WorkflowExecutionGetMetricsRequest>,
    ) -> Answer<WorkflowExecutionGetMetricsResponse> {
        answer(executions::metrics(&self.0, request.into_inner()).await)
    }
}
