export { createPlans, type Plans } from './plans.ts';
export {
  type MetricTermsInput,
  type Plan,
  type PlanDefine,
  type PlanPublish,
  planDefine,
  planPublish,
} from './schema.ts';
