/** A table's name as SQL: `schema.table`, each part quoted only where it must be. The key of every map in a plan. */
export type TableName = string;

export interface ColumnFacts {
  readonly name: string;
  readonly type: string;
  readonly notNull: boolean;
  readonly hasDefault: boolean;
  readonly generated: boolean;
  /** The type without what a domain or a length adds: what decides whether two columns can be compared. */
  readonly baseType?: string;
  /** The type's own operator where it is none of the system's (citext): `operator(public.=)`. */
  readonly equality?: string | null;
  /** Of a generated column: its expression, and the columns that it reads. */
  readonly expression?: string | null;
  readonly generatedFrom?: readonly string[];
}

export interface UniqueFacts {
  readonly name: string;
  readonly columns: readonly string[];
  /** False for a unique index that is not a constraint. */
  readonly constraint: boolean;
  /** An index on expressions or with a WHERE: its columns do not say all. */
  readonly partial: boolean;
  readonly deferrable: boolean;
  /** What is needed to make it again; left out where it cannot be told. */
  readonly definition?: UniqueDefinition | null;
}

/** How an index was defined, in parts. */
export interface UniqueDefinition {
  /** What follows `using btree (` in its definition: `lower(email)) where (gone is null)`. */
  readonly tail: string;
  /** Its key columns, as SQL on a row of the table. */
  readonly keys: readonly string[];
  readonly where: string | null;
  /** Tables whose foreign keys need it. */
  readonly referencedBy: readonly TableName[];
  /** Something else that stands on it, in words. */
  readonly pinned: string | null;
  readonly clustered: boolean;
  readonly comment: string | null;
  readonly constraintComment: string | null;
}

export interface TriggerFacts {
  readonly table: TableName;
  readonly name: string;
  /** As pg_get_triggerdef prints it. */
  readonly definition: string;
  readonly function: string;
  readonly timing: 'before' | 'after' | 'instead';
  readonly events: readonly ('insert' | 'update' | 'delete' | 'truncate')[];
  /** Columns of UPDATE OF; empty for every update. */
  readonly columns: readonly string[];
  /** pg_trigger.tgenabled: O origin, A always, R replica, D disabled. */
  readonly enabled: string;
  readonly constraint: boolean;
  readonly hasCondition: boolean;
  /** Its function contains INSERT, UPDATE or DELETE: it may write to other tables. */
  readonly writes: boolean;
}

export interface TableFacts {
  readonly name: TableName;
  readonly schema: string;
  readonly table: string;
  readonly kind: 'table' | 'partitioned';
  /** The leaves of a partitioned table; empty otherwise. Leaves are not listed as tables themselves. */
  readonly partitions: readonly TableName[];
  /** Parents by plain inheritance (INHERITS). */
  readonly inherits: readonly TableName[];
  readonly owner: string;
  /** The server's estimate; -1 where the table was never analyzed. */
  readonly rows: number;
  readonly bytes: number;
  readonly indexes: number;
  /** Columns that lead an index. */
  readonly leadingColumns?: readonly string[];
  readonly columns: readonly ColumnFacts[];
  readonly primaryKey: readonly string[];
  readonly uniques: readonly UniqueFacts[];
  readonly rowSecurity: 'off' | 'on' | 'forced';
  readonly unlogged: boolean;
}

/** How a value of a column without a constraint is made comparable with the parent's, where the types differ. */
export type Conversion = 'none' | 'to integer' | 'to uuid' | 'to text';

/**
 * A way from a row to its parent: a declared foreign key (where only partitions declare it, listed once, on their root), or a
 * reference without a constraint that a person confirmed.
 */
export interface ForeignKey {
  readonly name: string;
  readonly table: TableName;
  readonly columns: readonly string[];
  readonly parent: TableName;
  readonly parentColumns: readonly string[];
  /** True when at least one of its columns may be null. */
  readonly nullable: boolean;
  readonly deferrable: boolean;
  readonly validated: boolean;
  readonly onDelete: string;
  readonly onUpdate: string;
  /** Set when the key is declared on these partitions and not on their root. */
  readonly onPartitions?: readonly TableName[];
  /** Set for a reference without a constraint: PostgreSQL does not hold it, so it may lead nowhere, and a row may come before its parent. */
  readonly confirmed?: true;
  /** Of a polymorphic pair: the way counts for rows whose discriminator has this value. */
  readonly when?: { readonly column: string; readonly value: string };
  /** For each of `columns`; left out where the types are the same. */
  readonly conversions?: readonly Conversion[];
  /** For each of `columns` the operator that compares it with the parent's, where one is none of the system's. */
  readonly operators?: readonly string[];
  /** The parent has children by INHERITS: their rows are not those the key means. */
  readonly parentOnly?: true;
}

export interface PublishedFacts {
  readonly publication: string;
  readonly table: TableName;
  /** Its updates are sent and nothing tells its rows apart: PostgreSQL refuses to update it. */
  readonly updatesRefused?: boolean;
}

export interface ViewFacts {
  readonly name: string;
  readonly materialized: boolean;
  readonly owner: string;
  readonly securityInvoker: boolean;
  readonly reads: readonly TableName[];
}

export interface FunctionFacts {
  readonly name: string;
  readonly language: string;
  readonly securityDefiner: boolean;
  readonly owner: string;
  /** Tables whose names stand in its text. */
  readonly touches: readonly TableName[];
}

export interface SequenceFacts {
  readonly name: string;
  readonly owner: string;
  readonly ownedBy: string | null;
  /** The runtime may use it already. */
  readonly usable?: boolean;
}

export interface SchemaFacts {
  readonly name: string;
  readonly owner: string;
  /** Of tenantry_owner and tenantry_app, those that may use it already. */
  readonly usedBy: readonly string[];
}

/** What the catalogue says about the database, and nothing else. No rows were read. */
export interface Inspection {
  readonly database: string;
  readonly login: string;
  /** As server_version_num: 150020. */
  readonly serverVersion: number;
  readonly tables: readonly TableFacts[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly triggers: readonly TriggerFacts[];
  readonly views: readonly ViewFacts[];
  readonly functions: readonly FunctionFacts[];
  readonly sequences: readonly SequenceFacts[];
  /** Who of our roles may use each schema already. */
  readonly schemas: readonly SchemaFacts[];
  /** Tables that belong to extensions: left alone. */
  readonly extensionTables: readonly string[];
  /** Foreign tables: never owned, policies do not reach them. */
  readonly foreignTables: readonly string[];
  /** Tables that publications send on. */
  readonly published: readonly PublishedFacts[];
}
