export { type Catalog, createCatalog } from './catalog.ts';
export { createGrants, type Grants } from './grants.ts';
export { createPrompts, type Prompts } from './prompts.ts';
export { createEnvelope, createResources, type Resources } from './resources.ts';
export * from './schema.ts';
export {
  type BuiltInResourceType,
  builtInResourceTypes,
  listResourceTypes,
  type ResourceType,
  registerResourceType,
} from './types.ts';
