SELECT pg_catalog.set_config('search_path', '', false);
CREATE TYPE public.studydirection AS ENUM (
    'NOT_SET',
    'MINIMIZE',
    'MAXIMIZE'
);
CREATE TYPE public.trialintermediatevaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG',
    'NAN'
);
CREATE TYPE public.trialstate AS ENUM (
    'RUNNING',
    'COMPLETE',
    'PRUNED',
    'FAIL',
    'WAITING'
);
CREATE TYPE public.trialvaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG'
);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.hpo_attempt (
    trial_id integer NOT NULL,
    attempt integer NOT NULL,
    worker text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    device text NOT NULL,
    started_at timestamp without time zone NOT NULL,
    ended_at timestamp without time zone,
    from_epoch integer NOT NULL,
    to_epoch integer,
    outcome character varying(16),
    CONSTRAINT ck_outcome CHECK (((outcome)::text = ANY ((ARRAY['complete'::character varying, 'pruned'::character varying, 'failed'::character varying, 'released'::character varying, 'lost'::character varying])::text[])))
);
CREATE TABLE public.hpo_slot (
    study_id integer NOT NULL,
    stage character varying(200) NOT NULL,
    slot integer NOT NULL,
    trial_id integer,
    state character varying(16) DEFAULT 'waiting'::character varying NOT NULL,
    worker text,
    token integer DEFAULT 0 NOT NULL,
    lease_until double precision,
    epoch integer DEFAULT 0 NOT NULL,
    CONSTRAINT ck_lease CHECK ((((state)::text = 'running'::text) = (lease_until IS NOT NULL))),
    CONSTRAINT ck_state CHECK (((state)::text = ANY ((ARRAY['waiting'::character varying, 'running'::character varying, 'done'::character varying])::text[]))),
    CONSTRAINT ck_worker CHECK ((((state)::text = 'running'::text) = (worker IS NOT NULL)))
);
CREATE TABLE public.hpo_study (
    study_id integer NOT NULL,
    name character varying(200) NOT NULL,
    uid character varying(32) NOT NULL,
    spec json NOT NULL,
    seed bigint NOT NULL,
    code_version text NOT NULL,
    package_versions json NOT NULL,
    dataset text NOT NULL,
    dataset_fingerprint text NOT NULL,
    dataset_origin text NOT NULL,
    created_at timestamp without time zone NOT NULL
);
CREATE TABLE public.hpo_trial (
    trial_id integer NOT NULL,
    study_id integer NOT NULL,
    stage character varying(200) NOT NULL,
    slot integer NOT NULL,
    configuration jsonb NOT NULL,
    outcome character varying(16),
    value double precision,
    verdict text,
    remedy text,
    error text,
    best_epoch integer,
    epochs integer,
    seconds double precision,
    images bigint,
    images_per_second double precision,
    parameters bigint,
    weights_hash text,
    statistics_hash character varying(64),
    test_value double precision,
    worker text NOT NULL,
    device text NOT NULL,
    started_at timestamp without time zone NOT NULL,
    ended_at timestamp without time zone,
    CONSTRAINT ck_complete_has_value CHECK ((((outcome)::text <> 'complete'::text) OR (value IS NOT NULL))),
    CONSTRAINT ck_ended CHECK (((outcome IS NULL) = (ended_at IS NULL))),
    CONSTRAINT ck_outcome CHECK (((outcome)::text = ANY ((ARRAY['complete'::character varying, 'pruned'::character varying, 'failed'::character varying])::text[])))
);
CREATE TABLE public.studies (
    study_id integer NOT NULL,
    study_name character varying(512) NOT NULL
);
CREATE TABLE public.trials (
    trial_id integer NOT NULL,
    number integer,
    study_id integer,
    state public.trialstate NOT NULL,
    datetime_start timestamp without time zone,
    datetime_complete timestamp without time zone
);
CREATE VIEW public.hpo_known_trial AS
 SELECT t.trial_id,
    s.name AS study,
    o.number,
        CASE
            WHEN (((q.state)::text = 'waiting'::text) AND (t.outcome IS NULL)) THEN 'waiting'::text
            WHEN ((o.state)::text = 'FAIL'::text) THEN 'failed'::text
            ELSE lower((o.state)::text)
        END AS state
   FROM ((((public.hpo_trial t
     JOIN public.hpo_study s ON ((s.study_id = t.study_id)))
     JOIN public.studies os ON (((os.study_id = s.study_id) AND ((os.study_name)::text = (s.name)::text))))
     JOIN public.trials o ON (((o.trial_id = t.trial_id) AND (o.study_id = t.study_id))))
     LEFT JOIN public.hpo_slot q ON (((q.study_id = t.study_id) AND ((q.stage)::text = (t.stage)::text) AND (q.slot = t.slot))));
CREATE VIEW public.attempts AS
 SELECT k.study,
    k.number,
    a.attempt,
    a.outcome,
    a.from_epoch,
    a.to_epoch,
    a.worker,
    a.host,
    a.pid,
    a.device,
    a.started_at AS started,
    a.ended_at AS ended,
    a.trial_id
   FROM (public.hpo_attempt a
     JOIN public.hpo_known_trial k ON ((k.trial_id = a.trial_id)));
CREATE TABLE public.hpo_epoch (
    trial_id integer NOT NULL,
    epoch integer NOT NULL,
    train_loss double precision,
    train_accuracy double precision,
    val_loss double precision,
    val_accuracy double precision,
    lr double precision,
    seconds double precision,
    images integer NOT NULL,
    images_per_second double precision,
    ended_at timestamp without time zone NOT NULL,
    CONSTRAINT ck_epoch CHECK ((epoch >= 1))
);
CREATE VIEW public.curves AS
 SELECT k.study,
    k.number,
    e.epoch,
    e.train_loss,
    e.train_accuracy,
    e.val_loss,
    e.val_accuracy,
    e.lr,
    e.seconds,
    e.images,
    e.images_per_second,
    e.ended_at AS ended,
    e.trial_id
   FROM (public.hpo_epoch e
     JOIN public.hpo_known_trial k ON ((k.trial_id = e.trial_id)));
CREATE TABLE public.hpo_finding (
    id integer NOT NULL,
    trial_id integer NOT NULL,
    check_name character varying(200) NOT NULL,
    severity character varying(16) NOT NULL,
    step integer NOT NULL,
    epoch integer NOT NULL,
    layer character varying(200) DEFAULT ''::character varying NOT NULL,
    value double precision,
    threshold double precision,
    message text NOT NULL,
    remedy text,
    CONSTRAINT ck_severity CHECK (((severity)::text = ANY ((ARRAY['pass'::character varying, 'note'::character varying, 'warn'::character varying, 'fatal'::character varying])::text[])))
);
CREATE VIEW public.findings AS
 SELECT k.study,
    k.number,
    f.check_name,
    f.severity,
    f.epoch,
    f.step,
    f.layer,
    f.value,
    f.threshold,
    f.message,
    f.remedy,
    f.trial_id
   FROM (public.hpo_finding f
     JOIN public.hpo_known_trial k ON ((k.trial_id = f.trial_id)));
CREATE TABLE public.hpo_alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE SEQUENCE public.hpo_finding_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.hpo_finding_id_seq OWNED BY public.hpo_finding.id;
CREATE TABLE public.hpo_layer (
    trial_id integer NOT NULL,
    step integer NOT NULL,
    "position" integer NOT NULL,
    layer text NOT NULL,
    epoch integer NOT NULL,
    activation_mean double precision,
    activation_std double precision,
    dead double precision,
    saturated double precision,
    gradient_norm double precision,
    update_ratio double precision
);
CREATE TABLE public.hpo_schema (
    name character varying(200) NOT NULL,
    value text NOT NULL
);
CREATE TABLE public.hpo_statistics (
    study_id integer NOT NULL,
    hash character varying(64) NOT NULL,
    state bytea NOT NULL
);
CREATE VIEW public.layers AS
 SELECT k.study,
    k.number,
    l.epoch,
    l.step,
    l."position",
    l.layer,
    l.activation_mean,
    l.activation_std,
    l.dead,
    l.saturated,
    l.gradient_norm,
    l.update_ratio,
    l.trial_id
   FROM (public.hpo_layer l
     JOIN public.hpo_known_trial k ON ((k.trial_id = l.trial_id)));
CREATE VIEW public.leaderboard AS
 SELECT rank() OVER (PARTITION BY t.study_id ORDER BY t.value DESC) AS rank,
    k.study,
    t.stage,
    k.number,
    t.value,
    t.test_value,
    t.best_epoch,
    t.epochs AS epochs_done,
    t.seconds,
    t.verdict,
    t.trial_id
   FROM (public.hpo_trial t
     JOIN public.hpo_known_trial k ON ((k.trial_id = t.trial_id)))
  WHERE (k.state = 'complete'::text);
CREATE TABLE public.trial_params (
    param_id integer NOT NULL,
    trial_id integer,
    param_name character varying(512),
    param_value double precision,
    distribution_json text
);
CREATE TABLE public.trial_values (
    trial_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    objective integer NOT NULL,
    value double precision,
    value_type public.trialvaluetype NOT NULL
);
CREATE VIEW public.params AS
 SELECT s.study_name AS study,
    o.number,
        CASE
            WHEN ((o.state)::text = 'FAIL'::text) THEN 'failed'::text
            ELSE lower((o.state)::text)
        END AS state,
    v.value,
    p.param_name AS param,
        CASE
            WHEN (p.choice IS NOT NULL) THEN COALESCE((p.choice #>> '{}'::text[]), 'null'::text)
            WHEN (p.distribution_json ~~ '{"name": "Int%'::text) THEN ((p.param_value)::bigint)::text
            WHEN (p.distribution_json !~~ '{"name": "Categorical%'::text) THEN (p.param_value)::text
            ELSE NULL::text
        END AS value_text,
        CASE
            WHEN (json_typeof(p.choice) = 'number'::text) THEN ((p.choice #>> '{}'::text[]))::double precision
            WHEN (p.distribution_json !~~ '{"name": "Categorical%'::text) THEN p.param_value
            ELSE NULL::double precision
        END AS value_number,
    o.trial_id
   FROM (((( SELECT trial_params.trial_id,
            trial_params.param_name,
            trial_params.param_value,
            trial_params.distribution_json,
                CASE
                    WHEN ((trial_params.distribution_json ~~ '{"name": "Categorical%'::text) AND (trial_params.distribution_json !~ '[[ ](NaN|-?Infinity)[],]'::text)) THEN ((((trial_params.distribution_json)::json -> 'attributes'::text) -> 'choices'::text) -> (trial_params.param_value)::integer)
                    ELSE NULL::json
                END AS choice
           FROM public.trial_params) p
     JOIN public.trials o ON ((o.trial_id = p.trial_id)))
     JOIN public.studies s ON ((s.study_id = o.study_id)))
     LEFT JOIN public.trial_values v ON (((v.trial_id = o.trial_id) AND (v.objective = 0))));
CREATE VIEW public.results AS
 SELECT k.study,
    t.stage,
    k.number,
    k.state,
    t.value,
    t.best_epoch,
    t.test_value,
    t.verdict,
    t.remedy,
    t.epochs AS epochs_done,
    (t.configuration ->> 'dataset'::text) AS dataset,
    (t.configuration ->> 'data_root'::text) AS data_root,
    ((t.configuration ->> 'train_images'::text))::integer AS train_images,
    ((t.configuration ->> 'val_fraction'::text))::double precision AS val_fraction,
    (t.configuration ->> 'preprocessing'::text) AS preprocessing,
    ((t.configuration ->> 'pca_components'::text))::integer AS pca_components,
    ((t.configuration ->> 'whiten_epsilon'::text))::double precision AS whiten_epsilon,
    (t.configuration ->> 'augmentation'::text) AS augmentation,
    ((t.configuration ->> 'augmentation_strength'::text))::double precision AS augmentation_strength,
    (t.configuration ->> 'model'::text) AS model,
    ((t.configuration ->> 'width'::text))::integer AS width,
    ((t.configuration ->> 'depth'::text))::integer AS depth,
    (t.configuration ->> 'activation'::text) AS activation,
    ((t.configuration ->> 'negative_slope'::text))::double precision AS negative_slope,
    ((t.configuration ->> 'elu_alpha'::text))::double precision AS elu_alpha,
    ((t.configuration ->> 'maxout_pieces'::text))::integer AS maxout_pieces,
    (t.configuration ->> 'initializer'::text) AS initializer,
    (t.configuration ->> 'init_distribution'::text) AS init_distribution,
    ((t.configuration ->> 'init_std'::text))::double precision AS init_std,
    ((t.configuration ->> 'init_constant'::text))::double precision AS init_constant,
    (t.configuration ->> 'batch_norm'::text) AS batch_norm,
    (t.configuration ->> 'norm'::text) AS norm,
    ((t.configuration ->> 'norm_momentum'::text))::double precision AS norm_momentum,
    ((t.configuration ->> 'norm_epsilon'::text))::double precision AS norm_epsilon,
    ((t.configuration ->> 'norm_groups'::text))::integer AS norm_groups,
    ((t.configuration ->> 'weight_decay'::text))::double precision AS weight_decay,
    ((t.configuration ->> 'l1'::text))::double precision AS l1,
    ((t.configuration ->> 'regularize_all'::text))::boolean AS regularize_all,
    ((t.configuration ->> 'dropout'::text))::double precision AS dropout,
    (t.configuration ->> 'dropout_kind'::text) AS dropout_kind,
    ((t.configuration ->> 'max_norm'::text))::double precision AS max_norm,
    ((t.configuration ->> 'label_smoothing'::text))::double precision AS label_smoothing,
    (t.configuration ->> 'optimizer'::text) AS optimizer,
    ((t.configuration ->> 'lr'::text))::double precision AS lr,
    ((t.configuration ->> 'momentum'::text))::double precision AS momentum,
    ((t.configuration ->> 'nesterov'::text))::boolean AS nesterov,
    ((t.configuration ->> 'beta1'::text))::double precision AS beta1,
    ((t.configuration ->> 'beta2'::text))::double precision AS beta2,
    ((t.configuration ->> 'rms_decay'::text))::double precision AS rms_decay,
    ((t.configuration ->> 'optimizer_epsilon'::text))::double precision AS optimizer_epsilon,
    (t.configuration ->> 'schedule'::text) AS schedule,
    ((t.configuration ->> 'warmup_epochs'::text))::double precision AS warmup_epochs,
    ((t.configuration ->> 'step_epochs'::text))::integer AS step_epochs,
    ((t.configuration ->> 'lr_decay'::text))::double precision AS lr_decay,
    ((t.configuration ->> 'final_lr_fraction'::text))::double precision AS final_lr_fraction,
    ((t.configuration ->> 'gradient_clip'::text))::double precision AS gradient_clip,
    ((t.configuration ->> 'batch_size'::text))::integer AS batch_size,
    ((t.configuration ->> 'epochs'::text))::integer AS epochs,
    (t.configuration ->> 'precision'::text) AS "precision",
    t.seconds,
    t.images_per_second,
    t.parameters,
    t.worker,
    t.started_at AS started,
    t.ended_at AS finished,
    t.slot,
    t.weights_hash,
    t.trial_id
   FROM (public.hpo_trial t
     JOIN public.hpo_known_trial k ON ((k.trial_id = t.trial_id)));
CREATE SEQUENCE public.studies_study_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.studies_study_id_seq OWNED BY public.studies.study_id;
CREATE TABLE public.study_directions (
    study_direction_id integer NOT NULL,
    direction public.studydirection NOT NULL,
    study_id integer NOT NULL,
    objective integer NOT NULL
);
CREATE SEQUENCE public.study_directions_study_direction_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_directions_study_direction_id_seq OWNED BY public.study_directions.study_direction_id;
CREATE TABLE public.study_system_attributes (
    study_system_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.study_system_attributes_study_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_system_attributes_study_system_attribute_id_seq OWNED BY public.study_system_attributes.study_system_attribute_id;
CREATE TABLE public.study_user_attributes (
    study_user_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.study_user_attributes_study_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_user_attributes_study_user_attribute_id_seq OWNED BY public.study_user_attributes.study_user_attribute_id;
CREATE TABLE public.trial_heartbeats (
    trial_heartbeat_id integer NOT NULL,
    trial_id integer NOT NULL,
    heartbeat timestamp without time zone NOT NULL
);
CREATE SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_heartbeats_trial_heartbeat_id_seq OWNED BY public.trial_heartbeats.trial_heartbeat_id;
CREATE TABLE public.trial_intermediate_values (
    trial_intermediate_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    step integer NOT NULL,
    intermediate_value double precision,
    intermediate_value_type public.trialintermediatevaluetype NOT NULL
);
CREATE SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_intermediate_values_trial_intermediate_value_id_seq OWNED BY public.trial_intermediate_values.trial_intermediate_value_id;
CREATE SEQUENCE public.trial_params_param_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_params_param_id_seq OWNED BY public.trial_params.param_id;
CREATE TABLE public.trial_system_attributes (
    trial_system_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_system_attributes_trial_system_attribute_id_seq OWNED BY public.trial_system_attributes.trial_system_attribute_id;
CREATE TABLE public.trial_user_attributes (
    trial_user_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_user_attributes_trial_user_attribute_id_seq OWNED BY public.trial_user_attributes.trial_user_attribute_id;
CREATE SEQUENCE public.trial_values_trial_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trial_values_trial_value_id_seq OWNED BY public.trial_values.trial_value_id;
CREATE SEQUENCE public.trials_trial_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.trials_trial_id_seq OWNED BY public.trials.trial_id;
CREATE TABLE public.version_info (
    version_info_id integer NOT NULL,
    schema_version integer,
    library_version character varying(256),
    CONSTRAINT version_info_version_info_id_check CHECK ((version_info_id = 1))
);
ALTER TABLE ONLY public.hpo_finding ALTER COLUMN id SET DEFAULT nextval('public.hpo_finding_id_seq'::regclass);
ALTER TABLE ONLY public.studies ALTER COLUMN study_id SET DEFAULT nextval('public.studies_study_id_seq'::regclass);
ALTER TABLE ONLY public.study_directions ALTER COLUMN study_direction_id SET DEFAULT nextval('public.study_directions_study_direction_id_seq'::regclass);
ALTER TABLE ONLY public.study_system_attributes ALTER COLUMN study_system_attribute_id SET DEFAULT nextval('public.study_system_attributes_study_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.study_user_attributes ALTER COLUMN study_user_attribute_id SET DEFAULT nextval('public.study_user_attributes_study_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_heartbeats ALTER COLUMN trial_heartbeat_id SET DEFAULT nextval('public.trial_heartbeats_trial_heartbeat_id_seq'::regclass);
ALTER TABLE ONLY public.trial_intermediate_values ALTER COLUMN trial_intermediate_value_id SET DEFAULT nextval('public.trial_intermediate_values_trial_intermediate_value_id_seq'::regclass);
ALTER TABLE ONLY public.trial_params ALTER COLUMN param_id SET DEFAULT nextval('public.trial_params_param_id_seq'::regclass);
ALTER TABLE ONLY public.trial_system_attributes ALTER COLUMN trial_system_attribute_id SET DEFAULT nextval('public.trial_system_attributes_trial_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_user_attributes ALTER COLUMN trial_user_attribute_id SET DEFAULT nextval('public.trial_user_attributes_trial_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY public.trial_values ALTER COLUMN trial_value_id SET DEFAULT nextval('public.trial_values_trial_value_id_seq'::regclass);
ALTER TABLE ONLY public.trials ALTER COLUMN trial_id SET DEFAULT nextval('public.trials_trial_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('v3.2.0.a');
INSERT INTO public.hpo_alembic_version VALUES ('0001');
INSERT INTO public.hpo_attempt VALUES (1, 1, 'host:1:0.00', 'host', 1, 'cpu', '2026-11-24 07:04:29.038655', '2026-11-24 07:04:29.135575', 0, 3, 'complete');
INSERT INTO public.hpo_attempt VALUES (2, 1, 'host:1:0.00', 'host', 1, 'cpu', '2026-11-24 07:04:29.174013', '2026-11-24 07:04:29.244677', 0, 3, 'complete');
INSERT INTO public.hpo_attempt VALUES (3, 1, 'host:1:0.00', 'host', 1, 'cpu', '2026-11-24 07:04:29.280289', '2026-11-24 07:04:29.335661', 0, 2, 'pruned');
INSERT INTO public.hpo_attempt VALUES (4, 1, 'host:1:0.00', 'host', 1, 'cpu', '2026-11-24 07:04:29.373609', '2026-11-24 07:04:29.403142', 0, 0, 'failed');
INSERT INTO public.hpo_attempt VALUES (5, 1, 'host:1:0.00', 'host', 1, 'cpu', '2026-11-24 07:04:29.436285', NULL, 0, 1, 'lost');
INSERT INTO public.hpo_attempt VALUES (5, 2, 'host:1:0.00', 'host', 1, 'cpu', '2026-11-24 07:04:29.466778', NULL, 1, NULL, NULL);
INSERT INTO public.hpo_attempt VALUES (6, 1, 'host:1:0.00', 'host', 1, 'cpu', '2026-11-24 07:04:29.504522', '2026-11-24 07:04:29.545578', 0, 2, 'released');
INSERT INTO public.hpo_epoch VALUES (1, 1, 2.3, 0.3, 2.3, 0.3, 0.1, 1.5, 3000, 2000, '2026-11-24 07:04:29.082511');
INSERT INTO public.hpo_epoch VALUES (1, 2, 1.15, 0.7, 1.15, 0.7, 0.05, 1.5, 3000, 2000, '2026-11-24 07:04:29.095791');
INSERT INTO public.hpo_epoch VALUES (1, 3, 0.7666666666666666, 0.6, 0.7666666666666666, 0.6, 0.03333333333333333, 1.5, 3000, 2000, '2026-11-24 07:04:29.106167');
INSERT INTO public.hpo_epoch VALUES (2, 1, 2.3, 0.1, 2.3, 0.1, 0.1, 1.5, 3000, 2000, '2026-11-24 07:04:29.207908');
INSERT INTO public.hpo_epoch VALUES (2, 2, 1.15, 0.1, 1.15, 0.1, 0.05, 1.5, 3000, 2000, '2026-11-24 07:04:29.215745');
INSERT INTO public.hpo_epoch VALUES (2, 3, 0.7666666666666666, 0.3333333333333333, 0.7666666666666666, 0.3333333333333333, 0.03333333333333333, 1.5, 3000, 2000, '2026-11-24 07:04:29.228759');
INSERT INTO public.hpo_epoch VALUES (3, 1, 2.3, 0.2, 2.3, 0.2, 0.1, 1.5, 3000, 2000, '2026-11-24 07:04:29.305887');
INSERT INTO public.hpo_epoch VALUES (3, 2, NULL, NULL, NULL, NULL, 0.05, 1.5, 3000, 2000, '2026-11-24 07:04:29.318308');
INSERT INTO public.hpo_epoch VALUES (5, 1, 2.3, 0.4, 2.3, 0.4, 0.1, 1.5, 3000, 2000, '2026-11-24 07:04:29.455812');
INSERT INTO public.hpo_epoch VALUES (6, 1, 2.3, 0.2, 2.3, 0.2, 0.1, 1.5, 3000, 2000, '2026-11-24 07:04:29.528882');
INSERT INTO public.hpo_epoch VALUES (6, 2, 1.15, 0.3, 1.15, 0.3, 0.05, 1.5, 3000, 2000, '2026-11-24 07:04:29.539088');
INSERT INTO public.hpo_finding VALUES (1, 1, 'initial_loss', 'pass', 0, 0, '', 2.31, 2.303, 'the first loss is 2.31', NULL);
INSERT INTO public.hpo_finding VALUES (2, 1, 'dead_units', 'warn', 20, 1, 'conv2', 0.5, NULL, 'Traceback ...
ValueError: "quotes", tabs	, �, half a character ?, 漢字', 'lower lr');
INSERT INTO public.hpo_finding VALUES (3, 2, 'initial_loss', 'pass', 0, 0, '', 2.31, 2.303, 'the first loss is 2.31', NULL);
INSERT INTO public.hpo_finding VALUES (4, 2, 'dead_units', 'warn', 20, 1, 'conv2', 0.5, NULL, 'Traceback ...
ValueError: "quotes", tabs	, �, half a character ?, 漢字', 'lower lr');
INSERT INTO public.hpo_finding VALUES (5, 3, 'initial_loss', 'pass', 0, 0, '', 2.31, 2.303, 'the first loss is 2.31', NULL);
INSERT INTO public.hpo_finding VALUES (6, 3, 'dead_units', 'warn', 20, 1, 'conv2', 0.5, NULL, 'Traceback ...
ValueError: "quotes", tabs	, �, half a character ?, 漢字', 'lower lr');
INSERT INTO public.hpo_finding VALUES (7, 4, 'initial_loss', 'pass', 0, 0, '', 2.31, 2.303, 'the first loss is 2.31', NULL);
INSERT INTO public.hpo_finding VALUES (8, 4, 'dead_units', 'warn', 20, 1, 'conv2', 0.5, NULL, 'Traceback ...
ValueError: "quotes", tabs	, �, half a character ?, 漢字', 'lower lr');
INSERT INTO public.hpo_finding VALUES (9, 5, 'initial_loss', 'pass', 0, 0, '', 2.31, 2.303, 'the first loss is 2.31', NULL);
INSERT INTO public.hpo_finding VALUES (10, 5, 'dead_units', 'warn', 20, 1, 'conv2', 0.5, NULL, 'Traceback ...
ValueError: "quotes", tabs	, �, half a character ?, 漢字', 'lower lr');
INSERT INTO public.hpo_finding VALUES (11, 6, 'initial_loss', 'pass', 0, 0, '', 2.31, 2.303, 'the first loss is 2.31', NULL);
INSERT INTO public.hpo_finding VALUES (12, 6, 'dead_units', 'warn', 20, 1, 'conv2', 0.5, NULL, 'Traceback ...
ValueError: "quotes", tabs	, �, half a character ?, 漢字', 'lower lr');
INSERT INTO public.hpo_layer VALUES (1, 20, 0, 'conv0', 1, NULL, NULL, 0, NULL, NULL, NULL);
INSERT INTO public.hpo_layer VALUES (1, 20, 1, 'conv1', 1, NULL, NULL, 0.1, NULL, NULL, NULL);
INSERT INTO public.hpo_layer VALUES (2, 20, 0, 'conv0', 1, NULL, NULL, 0, NULL, NULL, NULL);
INSERT INTO public.hpo_layer VALUES (2, 20, 1, 'conv1', 1, NULL, NULL, 0.1, NULL, NULL, NULL);
INSERT INTO public.hpo_layer VALUES (3, 20, 0, 'conv0', 1, NULL, NULL, 0, NULL, NULL, NULL);
INSERT INTO public.hpo_layer VALUES (3, 20, 1, 'conv1', 1, NULL, NULL, 0.1, NULL, NULL, NULL);
INSERT INTO public.hpo_layer VALUES (4, 20, 0, 'conv0', 1, NULL, NULL, 0, NULL, NULL, NULL);
INSERT INTO public.hpo_layer VALUES (4, 20, 1, 'conv1', 1, NULL, NULL, 0.1, NULL, NULL, NULL);
INSERT INTO public.hpo_layer VALUES (5, 20, 0, 'conv0', 1, NULL, NULL, 0, NULL, NULL, NULL);
INSERT INTO public.hpo_layer VALUES (5, 20, 1, 'conv1', 1, NULL, NULL, 0.1, NULL, NULL, NULL);
INSERT INTO public.hpo_layer VALUES (6, 20, 0, 'conv0', 1, NULL, NULL, 0, NULL, NULL, NULL);
INSERT INTO public.hpo_layer VALUES (6, 20, 1, 'conv1', 1, NULL, NULL, 0.1, NULL, NULL, NULL);
INSERT INTO public.hpo_schema VALUES ('views', 'optuna 5.0.0, views 78db1858810e31d66c6f7be961ccb403272353d5be3e732183452202f901460a');
INSERT INTO public.hpo_slot VALUES (1, 'main', 6, NULL, 'waiting', NULL, 0, NULL, 0);
INSERT INTO public.hpo_slot VALUES (1, 'main', 7, NULL, 'waiting', NULL, 0, NULL, 0);
INSERT INTO public.hpo_slot VALUES (1, 'main', 0, 1, 'done', NULL, 1, NULL, 3);
INSERT INTO public.hpo_slot VALUES (1, 'main', 1, 2, 'done', NULL, 1, NULL, 3);
INSERT INTO public.hpo_slot VALUES (1, 'main', 2, 3, 'done', NULL, 1, NULL, 2);
INSERT INTO public.hpo_slot VALUES (1, 'main', 3, 4, 'done', NULL, 1, NULL, 0);
INSERT INTO public.hpo_slot VALUES (1, 'main', 4, 5, 'running', 'host:1:0.00', 1, 1795507469.464385, 1);
INSERT INTO public.hpo_slot VALUES (1, 'main', 5, 6, 'waiting', NULL, 1, NULL, 2);
INSERT INTO public.hpo_statistics VALUES (1, 'b0873cd41ea9ca734fd4292a22c574cb13085d16073c2097f2eddfc545e53883', '\x40000000000000007b226d65616e223a7b226474797065223a22463332222c227368617065223a5b335d2c22646174615f6f666673657473223a5b302c31325d7d7d202020202020000000000000803f00000040');
INSERT INTO public.hpo_statistics VALUES (1, 'f1f510b3df687cdf1097a242b3431639593f773f6923630b18229ffa89183dde', '\x40000000000000007b226d65616e223a7b226474797065223a22463332222c227368617065223a5b335d2c22646174615f6f666673657473223a5b302c31325d7d7d2020202020200000803f0000004000004040');
INSERT INTO public.hpo_study VALUES (1, 'everything', '6ed8be741ca744da8a3d07dab6e6ca9e', '{"study": "everything", "seed": 9007199254740993, "objective": "val_accuracy", "trials": 8, "sampler": "random", "fixed": {"epochs": 3}, "space": {"lr": {"when": {}, "log": [0.0001, 1.0]}, "activation": {"when": {}, "choice": ["relu", "tanh"]}}, "checks": "standard"}', 9007199254740993, '0.1.0+83bb2bd1d72e-dirty', '{"python": "3.11.7", "torch": "2.13.0+cpu", "torchvision": "0.28.0", "numpy": "2.4.6", "pillow": "13.0.0", "optuna": "5.0.0", "sqlalchemy": "2.1.9"}', 'synthetic', 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff', 'drawn here', '2026-11-24 07:04:28.963295');
INSERT INTO public.hpo_trial VALUES (1, 1, 'main', 0, '{"l1": 0.0, "lr": 0.00021, "norm": "batch", "beta1": null, "beta2": null, "depth": null, "model": "convnet", "width": 16, "epochs": 3, "dataset": "auto", "dropout": 0.0, "init_std": null, "lr_decay": null, "max_norm": null, "momentum": 0.9, "nesterov": false, "schedule": "cosine", "data_root": null, "elu_alpha": null, "optimizer": "sgd", "precision": "auto", "rms_decay": null, "activation": "tanh", "batch_norm": "before", "batch_size": 64, "initializer": "he", "norm_groups": null, "step_epochs": null, "augmentation": "flip_crop", "dropout_kind": "plain", "norm_epsilon": 0.00001, "train_images": null, "val_fraction": 0.1, "weight_decay": 0.0005, "gradient_clip": null, "init_constant": null, "maxout_pieces": null, "norm_momentum": 0.1, "preprocessing": "standardize", "warmup_epochs": 0.0, "negative_slope": null, "pca_components": null, "regularize_all": false, "whiten_epsilon": null, "label_smoothing": 0.0, "final_lr_fraction": 0.0, "init_distribution": "normal", "optimizer_epsilon": null, "augmentation_strength": 1.0}', 'complete', 0.7, 'healthy', NULL, NULL, 2, 3, 4.5, 9000, 2000, 1234, 'ab', 'b0873cd41ea9ca734fd4292a22c574cb13085d16073c2097f2eddfc545e53883', NULL, 'host:1:0.00', 'cpu', '2026-11-24 07:04:29.024134', '2026-11-24 07:04:29.134099');
INSERT INTO public.hpo_trial VALUES (2, 1, 'main', 1, '{"l1": 0.0, "lr": 0.30000000000000004, "norm": "batch", "beta1": null, "beta2": null, "depth": null, "model": "convnet", "width": 16, "epochs": 3, "dataset": "auto", "dropout": 0.0, "init_std": null, "lr_decay": null, "max_norm": null, "momentum": 0.9, "nesterov": false, "schedule": "cosine", "data_root": null, "elu_alpha": null, "optimizer": "sgd", "precision": "auto", "rms_decay": null, "activation": "relu", "batch_norm": "before", "batch_size": 64, "initializer": "he", "norm_groups": null, "step_epochs": null, "augmentation": "flip_crop", "dropout_kind": "plain", "norm_epsilon": 0.00001, "train_images": null, "val_fraction": 0.1, "weight_decay": 0.0005, "gradient_clip": null, "init_constant": null, "maxout_pieces": null, "norm_momentum": 0.1, "preprocessing": "standardize", "warmup_epochs": 0.0, "negative_slope": null, "pca_components": null, "regularize_all": false, "whiten_epsilon": null, "label_smoothing": 0.0, "final_lr_fraction": 0.0, "init_distribution": "normal", "optimizer_epsilon": null, "augmentation_strength": 1.0}', 'complete', 0.3333333333333333, NULL, NULL, NULL, 3, 3, 4.5, 9000, 2000, NULL, NULL, 'b0873cd41ea9ca734fd4292a22c574cb13085d16073c2097f2eddfc545e53883', NULL, 'host:1:0.00', 'cpu', '2026-11-24 07:04:29.164742', '2026-11-24 07:04:29.24378');
INSERT INTO public.hpo_trial VALUES (4, 1, 'main', 3, '{"l1": 0.0, "lr": 0.5, "norm": "batch", "beta1": null, "beta2": null, "depth": null, "model": "convnet", "width": 16, "epochs": 3, "dataset": "auto", "dropout": 0.0, "init_std": null, "lr_decay": null, "max_norm": null, "momentum": 0.9, "nesterov": false, "schedule": "cosine", "data_root": null, "elu_alpha": null, "optimizer": "sgd", "precision": "auto", "rms_decay": null, "activation": "relu", "batch_norm": "before", "batch_size": 64, "initializer": "he", "norm_groups": null, "step_epochs": null, "augmentation": "flip_crop", "dropout_kind": "plain", "norm_epsilon": 0.00001, "train_images": null, "val_fraction": 0.1, "weight_decay": 0.0005, "gradient_clip": null, "init_constant": null, "maxout_pieces": null, "norm_momentum": 0.1, "preprocessing": "standardize", "warmup_epochs": 0.0, "negative_slope": null, "pca_components": null, "regularize_all": false, "whiten_epsilon": null, "label_smoothing": 0.0, "final_lr_fraction": 0.0, "init_distribution": "normal", "optimizer_epsilon": null, "augmentation_strength": 1.0}', 'failed', NULL, 'error: ValueError', NULL, 'Traceback ...
ValueError: "quotes", tabs	, �, half a character ?, 漢字', NULL, 0, 0, 0, NULL, NULL, NULL, 'b0873cd41ea9ca734fd4292a22c574cb13085d16073c2097f2eddfc545e53883', NULL, 'host:1:0.00', 'cpu', '2026-11-24 07:04:29.361995', '2026-11-24 07:04:29.402353');
INSERT INTO public.hpo_trial VALUES (3, 1, 'main', 2, '{"l1": 0.0, "lr": 0.9, "norm": "batch", "beta1": null, "beta2": null, "depth": null, "model": "convnet", "width": 16, "epochs": 3, "dataset": "auto", "dropout": 0.0, "init_std": null, "lr_decay": null, "max_norm": null, "momentum": 0.9, "nesterov": false, "schedule": "cosine", "data_root": null, "elu_alpha": null, "optimizer": "sgd", "precision": "auto", "rms_decay": null, "activation": "tanh", "batch_norm": "before", "batch_size": 64, "initializer": "he", "norm_groups": null, "step_epochs": null, "augmentation": "flip_crop", "dropout_kind": "plain", "norm_epsilon": 0.00001, "train_images": null, "val_fraction": 0.1, "weight_decay": 0.0005, "gradient_clip": null, "init_constant": null, "maxout_pieces": null, "norm_momentum": 0.1, "preprocessing": "standardize", "warmup_epochs": 0.0, "negative_slope": null, "pca_components": null, "regularize_all": false, "whiten_epsilon": null, "label_smoothing": 0.0, "final_lr_fraction": 0.0, "init_distribution": "normal", "optimizer_epsilon": null, "augmentation_strength": 1.0}', 'pruned', NULL, 'exploded: the loss became nan at step 32', 'lower lr to 0.3', NULL, NULL, 2, 3, 6000, 2000, NULL, NULL, 'b0873cd41ea9ca734fd4292a22c574cb13085d16073c2097f2eddfc545e53883', NULL, 'host:1:0.00', 'cpu', '2026-11-24 07:04:29.270567', '2026-11-24 07:04:29.334819');
INSERT INTO public.hpo_trial VALUES (5, 1, 'main', 4, '{"l1": 0.0, "lr": 0.25, "norm": "batch", "beta1": null, "beta2": null, "depth": null, "model": "convnet", "width": 16, "epochs": 3, "dataset": "auto", "dropout": 0.0, "init_std": null, "lr_decay": null, "max_norm": null, "momentum": 0.9, "nesterov": false, "schedule": "cosine", "data_root": null, "elu_alpha": null, "optimizer": "sgd", "precision": "auto", "rms_decay": null, "activation": "tanh", "batch_norm": "before", "batch_size": 64, "initializer": "he", "norm_groups": null, "step_epochs": null, "augmentation": "flip_crop", "dropout_kind": "plain", "norm_epsilon": 0.00001, "train_images": null, "val_fraction": 0.1, "weight_decay": 0.0005, "gradient_clip": null, "init_constant": null, "maxout_pieces": null, "norm_momentum": 0.1, "preprocessing": "standardize", "warmup_epochs": 0.0, "negative_slope": null, "pca_components": null, "regularize_all": false, "whiten_epsilon": null, "label_smoothing": 0.0, "final_lr_fraction": 0.0, "init_distribution": "normal", "optimizer_epsilon": null, "augmentation_strength": 1.0}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'f1f510b3df687cdf1097a242b3431639593f773f6923630b18229ffa89183dde', NULL, 'host:1:0.00', 'cpu', '2026-11-24 07:04:29.428097', NULL);
INSERT INTO public.hpo_trial VALUES (6, 1, 'main', 5, '{"l1": 0.0, "lr": 0.01, "norm": "batch", "beta1": null, "beta2": null, "depth": null, "model": "convnet", "width": 16, "epochs": 3, "dataset": "auto", "dropout": 0.0, "init_std": null, "lr_decay": null, "max_norm": null, "momentum": 0.9, "nesterov": false, "schedule": "cosine", "data_root": null, "elu_alpha": null, "optimizer": "sgd", "precision": "auto", "rms_decay": null, "activation": "relu", "batch_norm": "before", "batch_size": 64, "initializer": "he", "norm_groups": null, "step_epochs": null, "augmentation": "flip_crop", "dropout_kind": "plain", "norm_epsilon": 0.00001, "train_images": null, "val_fraction": 0.1, "weight_decay": 0.0005, "gradient_clip": null, "init_constant": null, "maxout_pieces": null, "norm_momentum": 0.1, "preprocessing": "standardize", "warmup_epochs": 0.0, "negative_slope": null, "pca_components": null, "regularize_all": false, "whiten_epsilon": null, "label_smoothing": 0.0, "final_lr_fraction": 0.0, "init_distribution": "normal", "optimizer_epsilon": null, "augmentation_strength": 1.0}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'f1f510b3df687cdf1097a242b3431639593f773f6923630b18229ffa89183dde', NULL, 'host:1:0.00', 'cpu', '2026-11-24 07:04:29.500163', NULL);
INSERT INTO public.studies VALUES (1, 'everything');
INSERT INTO public.studies VALUES (2, 'theirs');
INSERT INTO public.study_directions VALUES (1, 'MAXIMIZE', 1, 0);
INSERT INTO public.study_directions VALUES (2, 'MINIMIZE', 2, 0);
INSERT INTO public.study_directions VALUES (3, 'MAXIMIZE', 2, 1);
INSERT INTO public.study_system_attributes VALUES (1, 1, 'study:metric_names', '["val_accuracy"]');
INSERT INTO public.study_system_attributes VALUES (2, 2, 'study:metric_names', '["loss", "accuracy"]');
INSERT INTO public.study_user_attributes VALUES (1, 1, 'hpo_study', '"6ed8be741ca744da8a3d07dab6e6ca9e"');
INSERT INTO public.study_user_attributes VALUES (2, 2, 'owner', '{"name": "\u6f22\u5b57", "weights": [1, 2.5, Infinity, null]}');
INSERT INTO public.trial_intermediate_values VALUES (1, 1, 1, 0.3, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (2, 1, 2, 0.7, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (3, 1, 3, 0.6, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (4, 2, 1, 0.1, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (5, 2, 2, 0.1, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (6, 2, 3, 0.3333333333333333, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (7, 3, 1, 0.2, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (8, 3, 2, NULL, 'NAN');
INSERT INTO public.trial_intermediate_values VALUES (9, 5, 1, 0.4, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (10, 6, 1, 0.2, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (11, 6, 2, 0.3, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (12, 7, 0, NULL, 'NAN');
INSERT INTO public.trial_intermediate_values VALUES (13, 7, 1, NULL, 'INF_POS');
INSERT INTO public.trial_intermediate_values VALUES (14, 7, 2, NULL, 'INF_NEG');
INSERT INTO public.trial_intermediate_values VALUES (15, 7, 10, 0.30000000000000004, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (16, 8, 0, NULL, 'NAN');
INSERT INTO public.trial_intermediate_values VALUES (17, 8, 1, NULL, 'INF_POS');
INSERT INTO public.trial_intermediate_values VALUES (18, 8, 2, NULL, 'INF_NEG');
INSERT INTO public.trial_intermediate_values VALUES (19, 8, 10, 0.30000000000000004, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (20, 9, 0, NULL, 'NAN');
INSERT INTO public.trial_intermediate_values VALUES (21, 9, 1, NULL, 'INF_POS');
INSERT INTO public.trial_intermediate_values VALUES (22, 9, 2, NULL, 'INF_NEG');
INSERT INTO public.trial_intermediate_values VALUES (23, 9, 10, 0.30000000000000004, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (24, 10, 0, NULL, 'NAN');
INSERT INTO public.trial_intermediate_values VALUES (25, 10, 1, NULL, 'INF_POS');
INSERT INTO public.trial_intermediate_values VALUES (26, 10, 2, NULL, 'INF_NEG');
INSERT INTO public.trial_intermediate_values VALUES (27, 10, 10, 0.30000000000000004, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (28, 11, 0, NULL, 'NAN');
INSERT INTO public.trial_intermediate_values VALUES (29, 11, 1, NULL, 'INF_POS');
INSERT INTO public.trial_intermediate_values VALUES (30, 11, 2, NULL, 'INF_NEG');
INSERT INTO public.trial_intermediate_values VALUES (31, 11, 10, 0.30000000000000004, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (32, 12, 0, NULL, 'NAN');
INSERT INTO public.trial_intermediate_values VALUES (33, 12, 1, NULL, 'INF_POS');
INSERT INTO public.trial_intermediate_values VALUES (34, 12, 2, NULL, 'INF_NEG');
INSERT INTO public.trial_intermediate_values VALUES (35, 12, 10, 0.30000000000000004, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (36, 13, 0, NULL, 'NAN');
INSERT INTO public.trial_intermediate_values VALUES (37, 13, 1, NULL, 'INF_POS');
INSERT INTO public.trial_intermediate_values VALUES (38, 13, 2, NULL, 'INF_NEG');
INSERT INTO public.trial_intermediate_values VALUES (39, 13, 10, 0.30000000000000004, 'FINITE');
INSERT INTO public.trial_intermediate_values VALUES (40, 15, 3, 0.5, 'FINITE');
INSERT INTO public.trial_params VALUES (1, 1, 'lr', 0.00021, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (2, 1, 'activation', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO public.trial_params VALUES (3, 2, 'lr', 0.30000000000000004, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (4, 2, 'activation', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO public.trial_params VALUES (5, 3, 'lr', 0.9, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (6, 3, 'activation', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO public.trial_params VALUES (7, 4, 'lr', 0.5, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (8, 4, 'activation', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO public.trial_params VALUES (9, 5, 'lr', 0.25, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (10, 5, 'activation', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO public.trial_params VALUES (11, 6, 'lr', 0.01, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (12, 6, 'activation', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh"]}}');
INSERT INTO public.trial_params VALUES (13, 7, 'odd', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": [null, true, 3, 0.1, 1e-05, "relu", "say \"no\", ]"]}}');
INSERT INTO public.trial_params VALUES (14, 7, 'layers', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO public.trial_params VALUES (15, 7, 'lr', 0.00021, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (16, 7, 'dropout', 0.3, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.5, "log": false}}');
INSERT INTO public.trial_params VALUES (17, 8, 'odd', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": [null, true, 3, 0.1, 1e-05, "relu", "say \"no\", ]"]}}');
INSERT INTO public.trial_params VALUES (18, 8, 'layers', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO public.trial_params VALUES (19, 8, 'lr', 0.00021, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (20, 8, 'dropout', 0.3, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.5, "log": false}}');
INSERT INTO public.trial_params VALUES (21, 9, 'odd', 2, '{"name": "CategoricalDistribution", "attributes": {"choices": [null, true, 3, 0.1, 1e-05, "relu", "say \"no\", ]"]}}');
INSERT INTO public.trial_params VALUES (22, 9, 'layers', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO public.trial_params VALUES (23, 9, 'lr', 0.00021, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (24, 9, 'dropout', 0.3, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.5, "log": false}}');
INSERT INTO public.trial_params VALUES (25, 10, 'odd', 3, '{"name": "CategoricalDistribution", "attributes": {"choices": [null, true, 3, 0.1, 1e-05, "relu", "say \"no\", ]"]}}');
INSERT INTO public.trial_params VALUES (26, 10, 'layers', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO public.trial_params VALUES (27, 10, 'lr', 0.00021, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (28, 10, 'dropout', 0.3, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.5, "log": false}}');
INSERT INTO public.trial_params VALUES (29, 11, 'odd', 4, '{"name": "CategoricalDistribution", "attributes": {"choices": [null, true, 3, 0.1, 1e-05, "relu", "say \"no\", ]"]}}');
INSERT INTO public.trial_params VALUES (30, 11, 'layers', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO public.trial_params VALUES (31, 11, 'lr', 0.00021, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (32, 11, 'dropout', 0.3, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.5, "log": false}}');
INSERT INTO public.trial_params VALUES (33, 12, 'odd', 5, '{"name": "CategoricalDistribution", "attributes": {"choices": [null, true, 3, 0.1, 1e-05, "relu", "say \"no\", ]"]}}');
INSERT INTO public.trial_params VALUES (34, 12, 'layers', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO public.trial_params VALUES (35, 12, 'lr', 0.00021, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (36, 12, 'dropout', 0.3, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.5, "log": false}}');
INSERT INTO public.trial_params VALUES (37, 13, 'odd', 6, '{"name": "CategoricalDistribution", "attributes": {"choices": [null, true, 3, 0.1, 1e-05, "relu", "say \"no\", ]"]}}');
INSERT INTO public.trial_params VALUES (38, 13, 'layers', 3, '{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO public.trial_params VALUES (39, 13, 'lr', 0.00021, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_params VALUES (40, 13, 'dropout', 0.3, '{"name": "FloatDistribution", "attributes": {"step": 0.1, "low": 0.0, "high": 0.5, "log": false}}');
INSERT INTO public.trial_params VALUES (41, 15, 'lr', 0.5, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 1.0, "log": true}}');
INSERT INTO public.trial_system_attributes VALUES (1, 7, 'constraints:size', '-1.5');
INSERT INTO public.trial_system_attributes VALUES (2, 8, 'constraints:size', '-1.5');
INSERT INTO public.trial_system_attributes VALUES (3, 9, 'constraints:size', '-1.5');
INSERT INTO public.trial_system_attributes VALUES (4, 10, 'constraints:size', '-1.5');
INSERT INTO public.trial_system_attributes VALUES (5, 11, 'constraints:size', '-1.5');
INSERT INTO public.trial_system_attributes VALUES (6, 12, 'constraints:size', '-1.5');
INSERT INTO public.trial_system_attributes VALUES (7, 13, 'constraints:size', '-1.5');
INSERT INTO public.trial_system_attributes VALUES (8, 16, 'fixed_params', '{"lr": 0.125}');
INSERT INTO public.trial_system_attributes VALUES (9, 17, 'fixed_params', '{"lr": 0.25}');
INSERT INTO public.trial_user_attributes VALUES (1, 1, 'stage', '"main"');
INSERT INTO public.trial_user_attributes VALUES (2, 1, 'slot', '0');
INSERT INTO public.trial_user_attributes VALUES (3, 1, 'verdict', '"healthy"');
INSERT INTO public.trial_user_attributes VALUES (4, 1, 'best_epoch', '2');
INSERT INTO public.trial_user_attributes VALUES (5, 2, 'stage', '"main"');
INSERT INTO public.trial_user_attributes VALUES (6, 2, 'slot', '1');
INSERT INTO public.trial_user_attributes VALUES (7, 2, 'best_epoch', '3');
INSERT INTO public.trial_user_attributes VALUES (8, 3, 'stage', '"main"');
INSERT INTO public.trial_user_attributes VALUES (9, 3, 'slot', '2');
INSERT INTO public.trial_user_attributes VALUES (10, 3, 'verdict', '"exploded: the loss became nan at step 32"');
INSERT INTO public.trial_user_attributes VALUES (11, 3, 'remedy', '"lower lr to 0.3"');
INSERT INTO public.trial_user_attributes VALUES (12, 4, 'stage', '"main"');
INSERT INTO public.trial_user_attributes VALUES (13, 4, 'slot', '3');
INSERT INTO public.trial_user_attributes VALUES (14, 4, 'verdict', '"error: ValueError"');
INSERT INTO public.trial_user_attributes VALUES (15, 5, 'stage', '"main"');
INSERT INTO public.trial_user_attributes VALUES (16, 5, 'slot', '4');
INSERT INTO public.trial_user_attributes VALUES (17, 6, 'stage', '"main"');
INSERT INTO public.trial_user_attributes VALUES (18, 6, 'slot', '5');
INSERT INTO public.trial_user_attributes VALUES (19, 7, 'why', '"number 0"');
INSERT INTO public.trial_user_attributes VALUES (20, 7, 'nan', 'NaN');
INSERT INTO public.trial_user_attributes VALUES (21, 8, 'why', '"number 1"');
INSERT INTO public.trial_user_attributes VALUES (22, 8, 'nan', 'NaN');
INSERT INTO public.trial_user_attributes VALUES (23, 9, 'why', '"number 2"');
INSERT INTO public.trial_user_attributes VALUES (24, 9, 'nan', 'NaN');
INSERT INTO public.trial_user_attributes VALUES (25, 10, 'why', '"number 3"');
INSERT INTO public.trial_user_attributes VALUES (26, 10, 'nan', 'NaN');
INSERT INTO public.trial_user_attributes VALUES (27, 11, 'why', '"number 4"');
INSERT INTO public.trial_user_attributes VALUES (28, 11, 'nan', 'NaN');
INSERT INTO public.trial_user_attributes VALUES (29, 12, 'why', '"number 5"');
INSERT INTO public.trial_user_attributes VALUES (30, 12, 'nan', 'NaN');
INSERT INTO public.trial_user_attributes VALUES (31, 13, 'why', '"number 6"');
INSERT INTO public.trial_user_attributes VALUES (32, 13, 'nan', 'NaN');
INSERT INTO public.trial_user_attributes VALUES (33, 14, 'odd', '"ValueError: \"quotes\", tabs\t, half a character \ud800, \u6f22\u5b57"');
INSERT INTO public.trial_user_attributes VALUES (34, 17, 'note', '"waits"');
INSERT INTO public.trial_values VALUES (1, 1, 0, 0.7, 'FINITE');
INSERT INTO public.trial_values VALUES (2, 2, 0, 0.3333333333333333, 'FINITE');
INSERT INTO public.trial_values VALUES (3, 7, 0, 0.1, 'FINITE');
INSERT INTO public.trial_values VALUES (4, 7, 1, NULL, 'INF_NEG');
INSERT INTO public.trial_values VALUES (5, 8, 0, NULL, 'INF_POS');
INSERT INTO public.trial_values VALUES (6, 8, 1, 0.3333333333333333, 'FINITE');
INSERT INTO public.trial_values VALUES (7, 9, 0, 0.1, 'FINITE');
INSERT INTO public.trial_values VALUES (8, 9, 1, NULL, 'INF_NEG');
INSERT INTO public.trial_values VALUES (9, 10, 0, NULL, 'INF_POS');
INSERT INTO public.trial_values VALUES (10, 10, 1, 0.3333333333333333, 'FINITE');
INSERT INTO public.trial_values VALUES (11, 11, 0, 0.1, 'FINITE');
INSERT INTO public.trial_values VALUES (12, 11, 1, NULL, 'INF_NEG');
INSERT INTO public.trial_values VALUES (13, 12, 0, NULL, 'INF_POS');
INSERT INTO public.trial_values VALUES (14, 12, 1, 0.3333333333333333, 'FINITE');
INSERT INTO public.trial_values VALUES (15, 13, 0, 0.1, 'FINITE');
INSERT INTO public.trial_values VALUES (16, 13, 1, NULL, 'INF_NEG');
INSERT INTO public.trials VALUES (1, 0, 1, 'COMPLETE', '2026-11-24 07:04:28.995027', '2026-11-24 07:04:29.128498');
INSERT INTO public.trials VALUES (2, 1, 1, 'COMPLETE', '2026-11-24 07:04:29.149013', '2026-11-24 07:04:29.240849');
INSERT INTO public.trials VALUES (3, 2, 1, 'PRUNED', '2026-11-24 07:04:29.253048', '2026-11-24 07:04:29.332668');
INSERT INTO public.trials VALUES (4, 3, 1, 'FAIL', '2026-11-24 07:04:29.348993', '2026-11-24 07:04:29.399422');
INSERT INTO public.trials VALUES (5, 4, 1, 'RUNNING', '2026-11-24 07:04:29.413079', NULL);
INSERT INTO public.trials VALUES (6, 5, 1, 'RUNNING', '2026-11-24 07:04:29.481288', NULL);
INSERT INTO public.trials VALUES (7, 0, 2, 'COMPLETE', '2026-11-24 07:04:29.811725', '2026-11-24 07:04:29.811725');
INSERT INTO public.trials VALUES (8, 1, 2, 'COMPLETE', '2026-11-24 07:04:29.867713', '2026-11-24 07:04:29.867713');
INSERT INTO public.trials VALUES (9, 2, 2, 'COMPLETE', '2026-11-24 07:04:29.924761', '2026-11-24 07:04:29.924761');
INSERT INTO public.trials VALUES (10, 3, 2, 'COMPLETE', '2026-11-24 07:04:29.96276', '2026-11-24 07:04:29.96276');
INSERT INTO public.trials VALUES (11, 4, 2, 'COMPLETE', '2026-11-24 07:04:30.000866', '2026-11-24 07:04:30.000866');
INSERT INTO public.trials VALUES (12, 5, 2, 'COMPLETE', '2026-11-24 07:04:30.051038', '2026-11-24 07:04:30.051038');
INSERT INTO public.trials VALUES (13, 6, 2, 'COMPLETE', '2026-11-24 07:04:30.088497', '2026-11-24 07:04:30.088497');
INSERT INTO public.trials VALUES (14, 7, 2, 'FAIL', '2026-11-24 07:04:30.139632', '2026-11-24 07:04:30.139632');
INSERT INTO public.trials VALUES (15, 8, 2, 'PRUNED', '2026-11-24 07:04:30.15963', '2026-11-24 07:04:30.15963');
INSERT INTO public.trials VALUES (16, 9, 2, 'RUNNING', '2026-11-24 07:04:30.248389', NULL);
INSERT INTO public.trials VALUES (17, 10, 2, 'WAITING', NULL, NULL);
INSERT INTO public.version_info VALUES (1, 12, '5.0.0');
SELECT pg_catalog.setval('public.hpo_finding_id_seq', 12, true);
SELECT pg_catalog.setval('public.studies_study_id_seq', 2, true);
SELECT pg_catalog.setval('public.study_directions_study_direction_id_seq', 3, true);
SELECT pg_catalog.setval('public.study_system_attributes_study_system_attribute_id_seq', 2, true);
SELECT pg_catalog.setval('public.study_user_attributes_study_user_attribute_id_seq', 2, true);
SELECT pg_catalog.setval('public.trial_heartbeats_trial_heartbeat_id_seq', 1, false);
SELECT pg_catalog.setval('public.trial_intermediate_values_trial_intermediate_value_id_seq', 40, true);
SELECT pg_catalog.setval('public.trial_params_param_id_seq', 41, true);
SELECT pg_catalog.setval('public.trial_system_attributes_trial_system_attribute_id_seq', 9, true);
SELECT pg_catalog.setval('public.trial_user_attributes_trial_user_attribute_id_seq', 34, true);
SELECT pg_catalog.setval('public.trial_values_trial_value_id_seq', 16, true);
SELECT pg_catalog.setval('public.trials_trial_id_seq', 17, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.hpo_alembic_version
    ADD CONSTRAINT hpo_alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.hpo_attempt
    ADD CONSTRAINT hpo_attempt_pkey PRIMARY KEY (trial_id, attempt);
ALTER TABLE ONLY public.hpo_epoch
    ADD CONSTRAINT hpo_epoch_pkey PRIMARY KEY (trial_id, epoch);
ALTER TABLE ONLY public.hpo_finding
    ADD CONSTRAINT hpo_finding_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.hpo_finding
    ADD CONSTRAINT hpo_finding_trial_id_check_name_step_layer_key UNIQUE (trial_id, check_name, step, layer);
ALTER TABLE ONLY public.hpo_layer
    ADD CONSTRAINT hpo_layer_pkey PRIMARY KEY (trial_id, step, "position");
ALTER TABLE ONLY public.hpo_schema
    ADD CONSTRAINT hpo_schema_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.hpo_slot
    ADD CONSTRAINT hpo_slot_pkey PRIMARY KEY (study_id, stage, slot);
ALTER TABLE ONLY public.hpo_slot
    ADD CONSTRAINT hpo_slot_trial_id_key UNIQUE (trial_id);
ALTER TABLE ONLY public.hpo_statistics
    ADD CONSTRAINT hpo_statistics_pkey PRIMARY KEY (study_id, hash);
ALTER TABLE ONLY public.hpo_study
    ADD CONSTRAINT hpo_study_name_key UNIQUE (name);
ALTER TABLE ONLY public.hpo_study
    ADD CONSTRAINT hpo_study_pkey PRIMARY KEY (study_id);
ALTER TABLE ONLY public.hpo_trial
    ADD CONSTRAINT hpo_trial_pkey PRIMARY KEY (trial_id);
ALTER TABLE ONLY public.hpo_trial
    ADD CONSTRAINT hpo_trial_study_id_stage_slot_key UNIQUE (study_id, stage, slot);
ALTER TABLE ONLY public.studies
    ADD CONSTRAINT studies_pkey PRIMARY KEY (study_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_pkey PRIMARY KEY (study_direction_id);
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_objective_key UNIQUE (study_id, objective);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_pkey PRIMARY KEY (study_system_attribute_id);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_pkey PRIMARY KEY (study_user_attribute_id);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_pkey PRIMARY KEY (trial_heartbeat_id);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_key UNIQUE (trial_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_pkey PRIMARY KEY (trial_intermediate_value_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_step_key UNIQUE (trial_id, step);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_pkey PRIMARY KEY (param_id);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_param_name_key UNIQUE (trial_id, param_name);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_pkey PRIMARY KEY (trial_system_attribute_id);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_pkey PRIMARY KEY (trial_user_attribute_id);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_pkey PRIMARY KEY (trial_value_id);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_objective_key UNIQUE (trial_id, objective);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_pkey PRIMARY KEY (trial_id);
ALTER TABLE ONLY public.version_info
    ADD CONSTRAINT version_info_pkey PRIMARY KEY (version_info_id);
CREATE INDEX ix_hpo_finding_check ON public.hpo_finding USING btree (check_name, severity);
CREATE INDEX ix_hpo_slot_open ON public.hpo_slot USING btree (study_id, slot) WHERE ((state)::text <> 'done'::text);
CREATE UNIQUE INDEX ix_studies_study_name ON public.studies USING btree (study_name);
CREATE INDEX ix_trials_study_id ON public.trials USING btree (study_id);
ALTER TABLE ONLY public.hpo_attempt
    ADD CONSTRAINT hpo_attempt_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.hpo_trial(trial_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hpo_epoch
    ADD CONSTRAINT hpo_epoch_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.hpo_trial(trial_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hpo_finding
    ADD CONSTRAINT hpo_finding_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.hpo_trial(trial_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hpo_layer
    ADD CONSTRAINT hpo_layer_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.hpo_trial(trial_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hpo_slot
    ADD CONSTRAINT hpo_slot_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.hpo_study(study_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hpo_slot
    ADD CONSTRAINT hpo_slot_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.hpo_trial(trial_id) ON DELETE SET NULL;
ALTER TABLE ONLY public.hpo_statistics
    ADD CONSTRAINT hpo_statistics_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.hpo_study(study_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hpo_study
    ADD CONSTRAINT hpo_study_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hpo_trial
    ADD CONSTRAINT hpo_trial_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.hpo_study(study_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.hpo_trial
    ADD CONSTRAINT hpo_trial_study_id_statistics_hash_fkey FOREIGN KEY (study_id, statistics_hash) REFERENCES public.hpo_statistics(study_id, hash);
ALTER TABLE ONLY public.hpo_trial
    ADD CONSTRAINT hpo_trial_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.study_directions
    ADD CONSTRAINT study_directions_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
ALTER TABLE ONLY public.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_params
    ADD CONSTRAINT trial_params_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trial_values
    ADD CONSTRAINT trial_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES public.trials(trial_id);
ALTER TABLE ONLY public.trials
    ADD CONSTRAINT trials_study_id_fkey FOREIGN KEY (study_id) REFERENCES public.studies(study_id);
