package v1alpha1

// Workload is what sends: exactly one of job and cronJob.
// +kubebuilder:validation:XValidation:rule="has(self.job) != has(self.cronJob)",message="set exactly one of job and cronJob"
// +kubebuilder:validation:XValidation:rule="has(self.job) == has(oldSelf.job)",message="a job can't become a cronJob later, nor the reverse: make a new Campaign"
type Workload struct {
	// job runs once for each generation of the Campaign that is released.
	// +optional
	Job *JobTemplate `json:"job,omitempty"`
	// cronJob runs again and again, at schedule.cron.
	// +optional
	CronJob *JobTemplate `json:"cronJob,omitempty"`
}

// JobTemplate is the narrow part of a Job that a marketer may choose: no host
// paths, privileges, foreign service accounts or nodes.
// +kubebuilder:validation:XValidation:rule="!has(self.parallelism) || !has(self.completions) || self.parallelism <= self.completions",messageExpression="'parallelism %d exceeds completions %d: lower the one or raise the other'.format([self.parallelism, self.completions])",fieldPath=".parallelism"
type JobTemplate struct {
	// image of the sender.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[a-z0-9][A-Za-z0-9./:_@-]*$')`,message=`write an image without spaces, for example registry.example/mailer@sha256:...`
	Image string `json:"image"`

	// imagePullPolicy says when the node fetches the image. Unset: IfNotPresent.
	// +optional
	// +kubebuilder:default=IfNotPresent
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`

	// command of the sender; it is mandatory, so that codb can put its own
	// helper in front of it.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	Command []string `json:"command"`

	// args of the command.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	Args []string `json:"args,omitempty"`

	// env are literal variables: no references to secrets or other objects.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Env []EnvLiteral `json:"env,omitempty"`

	// resources of the sender's container. Unset: 100m CPU, 64Mi of memory
	// requested, 256Mi at most.
	// +optional
	Resources *Resources `json:"resources,omitempty"`

	// parallelism is how many pods run at once. Unset: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Parallelism *int32 `json:"parallelism,omitempty"`

	// completions is how many pods must succeed. Unset: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Completions *int32 `json:"completions,omitempty"`

	// terminationGracePeriodSeconds a running pod gets when it must stop.
	// Unset: 10.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=30
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`
}

// EnvLiteral is one variable with a literal value.
type EnvLiteral struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[A-Za-z_][A-Za-z0-9_]*$')`,message=`write a variable's name of letters, digits and _, for example TEMPLATE`
	Name string `json:"name"`
	// value of the variable. Unset: empty.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`
}

// Resources are the sender's share of a node.
type Resources struct {
	// cpu requested, for example 100m.
	// +optional
	// +kubebuilder:validation:MaxLength=12
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([1-9][0-9]*m|[0-9]+([.][0-9]{1,3})?)$')`,message=`write cores, for example 2 or 0.5, or thousandths of one, for example 100m`
	CPU string `json:"cpu,omitempty"`
	// memory requested and limited, for example 256Mi.
	// +optional
	// +kubebuilder:validation:MaxLength=12
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[1-9][0-9]*(Ki|Mi|Gi|k|M|G)?$')`,message=`write bytes, for example 256Mi or 1Gi`
	Memory string `json:"memory,omitempty"`
}
